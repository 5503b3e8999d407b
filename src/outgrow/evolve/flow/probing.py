"""Change an input in one place and see where it is felt: in which examples, and at which positions."""

__all__ = ["Probe"]

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from outgrow.capture import Call, watch
from outgrow.evolve.edits.outputs import output_tensors
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.transactions.undisturbed import undisturbed

_NO_CONTENT = re.compile("mask|label|position|type_id|cache|past")
_CACHES = ("past_key_values", "past_key_value", "layer_past", "cache_params", "past")
_FELT = 1e-6
"""Share of a tensor's largest number from which a change is no rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Felt:
    """Where one change of one input was felt."""

    first: dict[str, int]
    """Module -> the first position that moved; -1 where none did."""
    dim: int
    """Along which dim of the input the changed place is one of `size`."""
    size: int
    """How long that dim is; for images, how many pixels there are."""


class Probe:
    """What a model does with one call, and with calls that differ from it in one place."""

    def __init__(self, model: nn.Module, inputs: ExampleInputs) -> None:
        self._model = model
        self._inputs = inputs
        self.cached: set[str] = set()
        """Modules that get a cache."""
        self._before = self._run(inputs, look_for_caches=True)
        tensors = [one for one in tree_leaves((inputs.args, dict(inputs.kwargs))) if isinstance(one, Tensor)]
        self.batch = tensors[0].shape[0] if tensors and tensors[0].dim() else 0
        """How many examples the inputs hold."""
        self._later = [self._felt(*one) for one in self._changed(-1)]
        self._earlier = [self._felt(*one) for one in self._changed(0)]
        self._one = self._run(self._changed_example()) if self.batch > 1 else {}

    def is_batch_first(self, name: str) -> bool:
        """Whether dim 0 of what a module gives counts the examples, each felt there alone."""
        output = self._before.get(name)
        if output is None or output.shape[0] != self.batch:
            return False
        if self.batch == 1:
            return True
        moved = _moved(output, self._one.get(name)).flatten(1).any(dim=1)
        return not bool(moved[1:].any())

    def looks_back_only(self, name: str) -> bool | None:
        """Whether what a module gives, and what is made of it, follows from no later position.

        None where that cannot be said: nothing in the model looks from one position to another.
        """
        output = self._before.get(name)
        if output is None:
            return None
        count = _positions(output)
        alike = [
            other
            for other, tensor in self._before.items()
            if tensor.dim() == output.dim() and _positions(tensor) == count
        ]
        if output.dim() == 4 and not any(one.startswith("output") for one in alike):
            return False
        later = _along(self._later, count)
        for felt in later:
            # A change at the last position, felt there and nowhere before.
            if felt.first.get(name, -1) < 0 or any(0 <= felt.first[one] < count - 1 for one in alike):
                continue
            # At the first one, along the same dim: a channel that was changed would be felt everywhere.
            pairs = zip(self._later, self._earlier, strict=True)
            earlier = next(other for one, other in pairs if one is felt)
            mixes = any(earlier.first.get(f"last {one}", -1) >= 0 for one in alike)
            return True if mixes else None
        moved = any(felt.first.get(name, -1) >= 0 for felt in later)
        return False if moved else None

    def _felt(self, inputs: ExampleInputs, dim: int, size: int) -> _Felt:
        first: dict[str, int] = {}
        after = self._run(inputs)
        for name, tensor in self._before.items():
            moved = _moved(tensor, after.get(name))
            rows = (moved.any(1).flatten(1) if tensor.dim() == 4 else moved.any(2)).any(0)
            places = rows.nonzero()[:, 0]
            first[name] = int(places[0]) if len(places) else -1
            # Whether anything but the first position moved, when that one was changed.
            first[f"last {name}"] = int(places[-1]) if len(places) and int(places[-1]) > 0 else -1
        return _Felt(first=first, dim=dim, size=size)

    def _run(self, inputs: ExampleInputs, *, look_for_caches: bool = False) -> dict[str, Tensor]:
        """Module, or `output...` of the model -> the first tensor it gives, where that has positions."""
        seen: dict[str, Tensor] = {}

        def enter(call: Call) -> None:
            given = (*call.args, *call.kwargs.values())
            named = any(call.kwargs.get(name) is not None for name in _CACHES)
            if named or any(hasattr(one, "get_seq_length") for one in given):
                self.cached.add(call.name)

        def leave(call: Call, output: Any, _error: BaseException | None) -> None:
            first = output[0] if isinstance(output, tuple | list) and output else output
            if not isinstance(first, Tensor) or first.is_nested:  # inside an encoder that skips padding
                return
            if first.dim() in (3, 4) and first.is_floating_point():
                seen[call.name] = first.detach().clone()

        watching = watch(self._model, enter=enter if look_for_caches else None, leave=leave)
        with undisturbed(self._model), torch.no_grad(), watching:
            self._model.eval()
            outputs = output_tensors(inputs.call(self._model))
        for name, tensor in outputs.items():
            if tensor.dim() in (3, 4) and tensor.is_floating_point():
                seen[name if name.startswith("output") else f"output.{name}"] = tensor.detach().clone()
        return seen

    def _changed(self, place: int) -> Iterator[tuple[ExampleInputs, int, int]]:
        """The inputs with the content at the first or the last position changed, one after the other."""
        for key, tensor in self._contents():
            for changed, dim, size in _changes(tensor, place):
                yield Probe._put(self._inputs, key, changed), dim, size

    def _changed_example(self) -> ExampleInputs:
        found = self._inputs
        for key, tensor in self._contents():
            changed = tensor.clone()
            changed[0] = _other(tensor)[0]
            found = Probe._put(found, key, changed)
        return found

    def _contents(self) -> Iterator[tuple[int | str, Tensor]]:
        items: list[tuple[int | str, Any]] = [*enumerate(self._inputs.args), *self._inputs.kwargs.items()]
        for key, value in items:
            named = isinstance(key, str) and _NO_CONTENT.search(key)
            if isinstance(value, Tensor) and value.dim() > 1 and value.dtype != torch.bool and not named:
                yield key, value

    @staticmethod
    def _put(inputs: ExampleInputs, key: int | str, tensor: Tensor) -> ExampleInputs:
        if isinstance(key, str):
            return replace(inputs, kwargs={**inputs.kwargs, key: tensor})
        args = (*inputs.args[:key], tensor, *inputs.args[key + 1 :])
        return replace(inputs, args=args)


def _positions(tensor: Tensor) -> int:
    return math.prod(tensor.shape[2:]) if tensor.dim() == 4 else tensor.shape[1]


def _moved(one: Tensor, two: Tensor | None) -> Tensor:
    if two is None or one.shape != two.shape:
        return torch.ones_like(one, dtype=torch.bool)
    scale = float(one.abs().nan_to_num(posinf=0.0).max()) if one.numel() else 0.0
    return (one - two).abs().nan_to_num() > _FELT * max(scale, 1e-30)


def _other(tensor: Tensor) -> Tensor:
    """Other content of the same kind: for numbers of words some that occur in it, so that all are known."""
    if tensor.is_floating_point():
        # Not a constant on top: norms would take it away.
        noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return tensor + 1 + 2 * noise.to(tensor) * max(1.0, float(tensor.abs().max()))
    low, high = tensor.min(), tensor.max()
    if low == high:
        return torch.where(tensor == 0, 1, 0).to(tensor.dtype)
    return torch.where(tensor == high, low, high)


def _along(changes: list[_Felt], count: int) -> list[_Felt]:
    """Those that went along the positions: of `[batch, seq, channels]` the others changed a channel."""
    fitting = [one for one in changes if one.size == count]
    first = min((one.dim for one in fitting), default=0)
    return [one for one in fitting if one.dim == first] or changes


def _changes(tensor: Tensor, place: int) -> Iterator[tuple[Tensor, int, int]]:
    """With the first or the last position changed; where it may stand in several dims, in each."""
    other = _other(tensor)
    if tensor.dim() == 4:
        changed = tensor.clone()
        changed[..., place, place] = other[..., place, place]
        yield changed, 2, math.prod(tensor.shape[2:])
        return
    for dim in range(1, tensor.dim()):
        changed = tensor.clone()
        changed.select(dim, place).copy_(other.select(dim, place))
        yield changed, dim, tensor.shape[dim]
