"""What a layout makes of stored tensors, before it makes it."""

__all__ = ["Outcome", "foresee"]

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.compare.layout import (
    Chain,
    Concatenate,
    Identity,
    Layout,
    PartialSum,
    Rearrange,
    Replicated,
    Sections,
    Stack,
)
from outgrow.compare.layout.parts import Part, Repeat
from outgrow.errors import InputError

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The tensor that comes out."""

    shape: Shape
    dtype: torch.dtype


def foresee(layout: Layout, tensors: Sequence[Tensor]) -> Outcome:
    """Shape and dtype of what `layout.apply` would make.

    Raises:
        InputError: it does not take tensors of these shapes.
    """
    steps = layout.layouts if isinstance(layout, Chain) else (layout,)
    found = tuple(tuple(tensor.shape) for tensor in tensors)
    taken, shape = _taken(steps[0], found), _given(steps[-1], found)
    if taken is None or shape is None or len({tensor.dtype for tensor in tensors}) > 1:
        # The layout says so of tensors without numbers. Torch takes most of a second to learn of those.
        made = layout.apply([torch.empty_like(tensor, device="meta") for tensor in tensors])
        return Outcome(shape=tuple(made.shape), dtype=made.dtype)
    if taken != found:
        raise InputError(
            f"a layout for tensors of shapes {', '.join(str(list(shape)) for shape in taken)} was given "
            f"{', '.join(str(list(shape)) for shape in found)}",
            hint="layouts hold for the shapes that they were found for",
        )
    return Outcome(shape=shape, dtype=tensors[0].dtype)


def _taken(step: Layout, found: tuple[Shape, ...]) -> tuple[Shape, ...] | None:
    """The shapes of the tensors that it takes; None of a layout of somebody else's."""
    if isinstance(step, Identity):
        return found[:1]
    if isinstance(step, Concatenate):
        return step.shapes
    if isinstance(step, Sections | Stack | Replicated | PartialSum):
        return (step.local,) * step.ranks
    if isinstance(step, Rearrange | Part | Repeat):
        return (step.source,)
    return None


def _given(step: Layout, found: tuple[Shape, ...]) -> Shape | None:
    if isinstance(step, Identity):
        return found[0]
    known = Rearrange | Part | Repeat | Concatenate | Sections | Stack | Replicated | PartialSum
    return step.shape if isinstance(step, known) else None
