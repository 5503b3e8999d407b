"""Tensors that `gt.*` makes: as the predecessor's where those differ from torch's, else as torch's."""

__all__ = ["ReferenceTensor", "as_reference"]

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outgrow.errors import InputError
from outgrow.shard.client.tensor import WorkersTensor
from outgrow.shard.interface.dtypes import DtypeName, as_torch_dtype
from outgrow.shard.interface.host_array import HostArray
from outgrow.shard.interface.tape import Tape

_enabled = torch._C._is_torch_function_enabled
_tape = Tape()
Axes = int | tuple[int, ...] | list[int] | None


class ReferenceTensor(WorkersTensor):
    """What ops on it give is of this kind, too. Within torch's own functions it is as any tensor."""

    @classmethod
    def __torch_function__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        getter = _GETTERS.get(func)
        if getter is not None:
            return getter(args[0])
        with torch._C.DisableTorchFunctionSubclass():
            if kwargs and isinstance(kwargs.get("dtype"), str):
                kwargs = {**kwargs, "dtype": as_torch_dtype(kwargs["dtype"])}
            if any(type(argument) is DtypeName for argument in args):
                args = tuple(as_torch_dtype(one) if type(one) is DtypeName else one for one in args)
            result = func(*args, **(kwargs or {}))
        return _adopt(result, args)

    # The same Python object may be asked from within torch, where torch's meaning holds: `_enabled` tells.

    def max(self, *args: Any, **kwargs: Any) -> Any:
        """The largest elements, over `axis`, without their places; equal ones share the gradient."""
        if not _enabled() or kwargs.keys() - {"axis", "keepdims"} or (args and isinstance(args[0], Tensor)):
            return super().max(*args, **kwargs)
        return _largest(self, *args, **kwargs)

    def sum(self, *args: Any, **kwargs: Any) -> Any:
        """Over `axis`, one or several, or all; `keepdims` works for all of them as well."""
        return super().sum(*args, **_of_all(args, kwargs))

    def mean(self, *args: Any, **kwargs: Any) -> Any:
        """See `sum`."""
        return super().mean(*args, **_of_all(args, kwargs))

    def transpose(self, dim0: Any = None, dim1: Any = None) -> Any:
        """Two dims exchanged; without any, the last two."""
        if dim0 is None and dim1 is None:
            return self if self.dim() < 2 else super().transpose(-2, -1)
        if dim0 is None or dim1 is None:
            raise InputError("transpose() was given one dim", hint="name both dims, or none for the last two")
        return super().transpose(dim0, dim1)

    def view(self, *shape: Any) -> Any:
        """As `reshape`: also where the elements do not lie in one piece."""
        if not _enabled() or (len(shape) == 1 and isinstance(shape[0], torch.dtype)):
            return super().view(*shape)
        return self.reshape(*shape)

    def split(self, split_size: Any, dim: int = 0) -> Any:
        """A list of pieces of `split_size`; the last may be short."""
        pieces = super().split(split_size, dim)  # type: ignore[no-untyped-call]
        return list(pieces) if _enabled() else pieces

    def chunk(self, chunks: int, dim: int = 0) -> Any:
        """A list of at most `chunks` pieces of one size; the last may be short."""
        pieces = super().chunk(chunks, dim)
        return list(pieces) if _enabled() else pieces

    def item(self) -> Any:
        """The one element, as a float."""
        found = super().item()
        return float(found) if _enabled() and not isinstance(found, complex) else found

    def backward(self, gradient: Tensor | None = None, *args: Any, **kwargs: Any) -> None:
        """Gradients of all leaves; of a tensor of several elements, those of its sum."""
        if gradient is None and self.numel() != 1:
            gradient = torch.ones_like(self)
        super().backward(gradient, *args, **kwargs)  # type: ignore[no-untyped-call]

    def __isub__(self, other: Any) -> "ReferenceTensor":  # type: ignore[misc]
        """Written in place; a parameter also outside of `no_grad`, unrecorded, where torch refuses."""
        if self.requires_grad and self.is_leaf and torch.is_grad_enabled():
            with torch.no_grad():
                self.sub_(other)
            return self
        return self.sub_(other)  # type: ignore[return-value]

    @staticmethod
    def recorded() -> list[Tensor]:
        """Tensors of this kind that can go backward, oldest first."""
        return _tape.alive()

    @property
    def id(self) -> int:
        """The number of the value that it holds now: another one after each write."""
        return self._read_value().number

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        text = np.array2string(
            _host(self).view(np.ndarray), threshold=10, edgeitems=3, precision=4, suppress_small=True
        )
        return f"tensor({text}, dtype={self.dtype})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and not self.dim() else format(str(self), spec)


def as_reference(tensor: Tensor, *, requires_grad: bool = False) -> ReferenceTensor:
    """The same tensor as one of the predecessor's kind. It must be on the workers."""
    if not isinstance(tensor, WorkersTensor):
        raise InputError(
            f"a tensor on {tensor.device} is not with the workers", hint="move it with .to('workers')"
        )
    tensor.__class__ = ReferenceTensor
    assert isinstance(tensor, ReferenceTensor)
    return tensor.requires_grad_(True) if requires_grad else tensor  # type: ignore[return-value]


def _adopt(result: Any, args: Any) -> Any:
    kind = type(result)
    if kind is WorkersTensor:
        # An in-place op gives back what it was given, which may be torch's own.
        if not any(result is argument for argument in args):
            result.__class__ = ReferenceTensor
            if result.grad_fn is not None:
                _tape.add(result)
                # As there, results have gradients, too; those that nobody holds any more cost nothing.
                result.retain_grad()
    elif isinstance(result, (tuple, list)):
        for one in result:
            _adopt(one, args)
    return result


def _largest(tensor: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return tensor.amax(tuple(range(tensor.dim())) if axis is None else axis, keepdim=keepdims)


def _of_all(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"axis": None, **kwargs} if not args and kwargs.keys() == {"keepdims"} else kwargs


def _host(tensor: Any) -> HostArray:
    with torch._C.DisableTorchFunctionSubclass():
        return HostArray.of(tensor.detach().cpu())


def _dtype(tensor: Any) -> DtypeName:
    with torch._C.DisableTorchFunctionSubclass():
        return DtypeName(str(tensor.dtype).removeprefix("torch."))


def _transposed(tensor: Any) -> Any:
    return tensor.transpose()


_GETTERS: dict[Any, Callable[[Any], Any]] = {
    Tensor.data.__get__: _host,  # type: ignore[attr-defined]
    Tensor.dtype.__get__: _dtype,  # type: ignore[attr-defined]
    Tensor.T.__get__: _transposed,  # type: ignore[attr-defined]
}
"""Attributes that mean something else here, by torch's getters."""
