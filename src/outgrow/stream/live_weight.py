"""A parameter of a running model: in memory, in the window for the moment, or on disk."""

__all__ = ["LiveWeight", "User", "ordinary_tensors", "storage_users"]

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from outgrow.stream.handle import StreamedParameter
from outgrow.stream.plan import Plan
from outgrow.stream.weights import Piece, Weight


@dataclass(frozen=True, slots=True, eq=False)
class User:
    """A module that has a weight as its own."""

    module: nn.Module
    name: str
    """Qualified name of the module."""
    attribute: str
    """What the module calls the weight."""
    is_table: bool
    """Whether the module looks up rows of it and nothing else."""


class Source(Protocol):
    """Whoever brings a weight's bytes: the stream that the weight belongs to."""

    def linear(self, weight: "LiveWeight", inputs: Tensor, bias: Tensor | None) -> Tensor:
        """As `Supplier.linear`."""
        ...

    def embedding(self, weight: "LiveWeight", indices: Tensor) -> Tensor:
        """As `Supplier.embedding`."""
        ...

    def whole(self, weight: "LiveWeight") -> Tensor:
        """As `Supplier.whole`."""
        ...

    def freeze(self) -> None:
        """As `Supplier.freeze`, for all weights."""
        ...


class LiveWeight:
    """One weight of a running model and the parameters that it is. A `Supplier` for them while they are
    streamed."""

    def __init__(
        self,
        weight: Weight,
        parameters: list[nn.Parameter],
        users: list[User],
        device: torch.device,
        *,
        was_trained: bool = False,
    ) -> None:
        """`parameters` are all objects that have these bytes; `users` all modules that own one of them."""
        self.weight = weight
        self.parameters = parameters
        self.users = users
        self.name = weight.name
        self.shape = weight.shape
        self.stride = weight.stride or torch.empty(weight.shape, device="meta").stride()
        self.tiles: dict[tuple[int, int], Tensor] = {}
        """Resident pieces by their rows, if not the whole weight is resident."""
        self.resident: Tensor | None = None
        """The weight in memory, if all of it is."""
        self.version = 0
        """Version counter of the resident parameter when it was filled: higher means that somebody wrote to
        it."""
        self.original: Tensor | None = None
        """The weight as it was in memory before it was streamed, until that begins."""
        self.was_trained = was_trained
        """Whether the weight could be trained before it was streamed, which frozen it is."""
        self.uses = 0
        """How many modules use it now, one within the other."""
        self.stream: Source | None = None
        self._placeholder = _placeholder(weight, device)

    @property
    def is_streamed(self) -> bool:
        """Whether not all of it is in memory."""
        return self.resident is None

    def keep(self, memory: Tensor) -> None:
        """All bytes are in memory for good: `memory` has the weight's shape, dtype and strides."""
        self.resident = memory
        self.bind(memory)
        self.version = self._version

    def take_original(self) -> None:
        """Let go of the bytes in memory, but note them where they could become resident just as they are."""
        data = self.parameters[0].data
        placed = (data.device, data.dtype, data.stride()) == (
            self._placeholder.device,
            self.weight.dtype,
            self.stride,
        )
        # Part of a larger storage (a mapped file, a flattened model) would keep all of that.
        if placed and data.numel() and data.untyped_storage().nbytes() == self.weight.nbytes:
            self.original = data
        self.unbind()

    def forget(self) -> None:
        """The bytes in memory go; the weight is streamed from now on."""
        self.resident = None
        self.tiles.clear()
        self.unbind()

    @property
    def was_written(self) -> bool:
        """Whether somebody changed the resident bytes in place, so that they are no longer those on disk."""
        return self.resident is not None and (
            self._version != self.version
            or any(parameter.data_ptr() != self.resident.data_ptr() for parameter in self.parameters)
        )

    @property
    def _version(self) -> int:
        # Made in inference mode, they count nothing.
        return sum(parameter._version for parameter in self.parameters if not parameter.is_inference())

    def bind(self, memory: Tensor) -> None:
        """Make the parameters plain ones with these bytes."""
        for parameter in self.parameters:
            # The class first: a streamed parameter refuses to be given data.
            parameter.__class__ = nn.Parameter
            parameter.__dict__.pop("_supplier_of", None)
            parameter.data = memory

    def unbind(self) -> None:
        """Make the parameters streamed ones without bytes."""
        for parameter in self.parameters:
            if type(parameter) is not StreamedParameter:
                parameter.data = self._placeholder
            parameter.__class__ = StreamedParameter
            parameter._supplier = self  # type: ignore[attr-defined]

    def look_trained(self, *, is_trained: bool) -> None:
        """Give the parameters the `requires_grad` that they had before they were streamed, or take it."""
        with torch._C.DisableTorchFunctionSubclass():
            for parameter in self.parameters:
                parameter.requires_grad_(is_trained and self.was_trained)

    def seen_from_outside(self, tensor: Tensor) -> Tensor:
        """`tensor`, some of the bytes, with the `requires_grad` by which torch chooses a kernel."""
        # `matmul` multiplies and rounds otherwise with a weight that requires gradients, no_grad or not.
        return (
            tensor.detach().requires_grad_() if self.was_trained and not torch.is_grad_enabled() else tensor
        )

    def redescribe(self, weight: Weight, device: torch.device) -> None:
        """Other bytes, another dtype or another device: what was in memory goes."""
        self.weight = weight
        self.stride = weight.stride or torch.empty(weight.shape, device="meta").stride()
        self._placeholder = _placeholder(weight, device)
        self.resident = None
        self.tiles.clear()
        for parameter in self.parameters:
            # Bound for a moment, so that also a parameter that is streamed already takes the new placeholder.
            parameter.__class__ = nn.Parameter
        self.unbind()

    def shaped(self, flat: Tensor) -> Tensor:
        """The weight's elements, shape `[elements]`, in its shape and strides; shares memory."""
        if self.weight.stride is not None:
            return flat.as_strided(self.shape, self.weight.stride)
        return flat.view(self.shape)

    def pieces(self, plan: Plan) -> tuple[Piece, ...]:
        """Its pieces under `plan`."""
        return plan.pieces_of[self.weight.index]

    def linear(self, inputs: Tensor, bias: Tensor | None) -> Tensor:
        """As `Supplier.linear`."""
        return self._source.linear(self, inputs, bias)

    def embedding(self, indices: Tensor) -> Tensor:
        """As `Supplier.embedding`."""
        return self._source.embedding(self, indices)

    def whole(self) -> Tensor:
        """As `Supplier.whole`."""
        return self._source.whole(self)

    def freeze(self) -> None:
        """As `Supplier.freeze`."""
        self._source.freeze()

    @property
    def _source(self) -> Source:
        assert self.stream is not None, "the weight belongs to no stream"
        return self.stream


@contextlib.contextmanager
def ordinary_tensors() -> Iterator[None]:
    """What is made inside can be used in every mode of autograd, even if this is inference mode."""
    with torch.inference_mode(mode=False), torch.no_grad():
        yield


def storage_users() -> Callable[[Tensor], int]:
    """The function that counts how many tensors share a tensor's storage."""
    count = torch._C._storage_Use_Count
    return lambda tensor: int(count(tensor.untyped_storage()._cdata))


@ordinary_tensors()
def _placeholder(weight: Weight, device: torch.device) -> Tensor:
    """One element that looks like the weight. NaN where the dtype has it, so that a slip would be loud."""
    one = torch.zeros((), dtype=weight.dtype, device=device)
    if weight.dtype.is_floating_point or weight.dtype.is_complex:
        try:
            one.fill_(float("nan"))
        except RuntimeError:  # a dtype without NaN, or without fill
            one.zero_()
    if not weight.nbytes:
        return torch.empty(weight.shape, dtype=weight.dtype, device=device)
    return one.expand(weight.shape)
