"""A template's arguments by name, and templates with other arguments."""

__all__ = ["Slot", "bound", "local_form", "local_size", "packet_of", "position", "rewritten"]

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import torch

from outgrow.placement import Placement
from outgrow.shard.instructions import INPUT, Template
from outgrow.shard.ranks.kernels import Kernel, resolve_op, template_kernel
from outgrow.shard.ranks.pieces import piece_shape
from outgrow.shard.rules.row import RowKernel


@dataclasses.dataclass(frozen=True, slots=True)
class Slot:
    """Stands where a tensor goes."""

    index: int
    """Into `Template.inputs`."""


@functools.cache
def _parameters(op: str) -> tuple[tuple[str, Any], ...]:
    found = []
    for argument in resolve_op(op)._schema.arguments:
        default = argument.default_value if argument.has_default_value() else None
        found.append((argument.name, tuple(default) if isinstance(default, list) else default))
    return tuple(found)


def bound(template: Template) -> dict[str, Any]:
    """Every argument of the op by its schema's name: as given, or its default; `Slot` for each input, in
    lists too.
    """
    supply = iter(range(len(template.inputs)))
    found: dict[str, Any] = {}
    for (name, _), value in zip(_parameters(template.op), template.args, strict=False):
        found[name] = _slots(value, supply)
    for name, value in template.kwargs:
        found[name] = _slots(value, supply)
    for name, default in _parameters(template.op):
        found.setdefault(name, default)
    return found


def _slots(value: Any, supply: Any) -> Any:
    if value is INPUT:
        return Slot(next(supply))
    if isinstance(value, tuple):
        return tuple(_slots(one, supply) for one in value)
    return value


def packet_of(op: str) -> str:
    """`aten.add` of `aten.add.Tensor`; our own ops have no overloads."""
    return op.rpartition(".")[0] if op.count(".") == 2 else op


def rewritten(template: Template, **changes: Any) -> Template:
    """The template with other values for arguments, by name; they may hold no tensors."""
    args, kwargs = list(template.args), dict(template.kwargs)
    for number, (name, _) in enumerate(_parameters(template.op)):
        if name in changes:
            if number < len(args):
                args[number] = changes[name]
            else:
                kwargs[name] = changes[name]
    return dataclasses.replace(template, args=tuple(args), kwargs=tuple(kwargs.items()))


def local_form(template: Template, change: Callable[[int, int], dict[str, Any]]) -> RowKernel:
    """The op itself with arguments that depend on the rank: `change(rank, world_size)` gives those that
    differ.
    """

    def make(rank: int, world_size: int, device: torch.device) -> Kernel:
        return template_kernel(rewritten(template, **change(rank, world_size)), device)

    return make


def local_size(template: Template, name: str, placement: Placement, shape: tuple[int, ...]) -> RowKernel:
    """The op itself with the rank's share of `shape` as the argument `name`."""
    return local_form(
        template, lambda rank, world_size: {name: piece_shape(shape, placement, rank, world_size)}
    )


def position(dim: int, dims: int) -> int:
    """A dim counted from the front; a 0-dim tensor has a dim 0."""
    return dim % max(dims, 1)
