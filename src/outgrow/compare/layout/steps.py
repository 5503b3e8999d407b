"""A layout as a picture: what each step makes, and from which dims."""

__all__ = ["LayoutCheck", "LayoutStep", "check_layout", "steps_of"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from outgrow.compare.layout.hint import HeardStep, hear_hint
from outgrow.compare.layout.layout import Layout
from outgrow.compare.layout.ranks import Stack
from outgrow.compare.layout.rearrange import Rearrange
from outgrow.errors import InputError

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutStep:
    """One step of a side; the first of each side is its tensor as it is stored."""

    side: Literal["expected", "actual"]
    name: str
    """The call, `permute(1, 0, 2)`; of the first one how many ranks there are, or nothing."""
    shape: Shape
    dims: tuple[tuple[int, ...], ...]
    """For each dim the dims of the step before that it is made of; empty where it is new, or is the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutCheck:
    """Whether a hint fits."""

    is_fit: bool
    shape: Shape | None
    """What it makes of the actual side, where that can be done."""
    message: str
    steps: tuple[LayoutStep, ...]


def check_layout(expected_shape: Shape, actual_shapes: Sequence[Shape], hint: str) -> LayoutCheck:
    """What a hint does to shapes; nothing is read and nothing raised."""
    try:
        heard = hear_hint(hint, shapes=actual_shapes, target=expected_shape)
    except InputError as err:
        return LayoutCheck(is_fit=False, shape=None, message=err.message, steps=())
    is_fit = heard.shape == heard.target
    here, there = list(heard.shape), list(heard.target)
    return LayoutCheck(
        is_fit=is_fit,
        shape=heard.shape,
        message=f"it makes {here}, as expected" if is_fit else f"it makes {here}, but {there} is expected",
        steps=(
            *_pictured("actual", actual_shapes, heard.actual),
            *_pictured("expected", [expected_shape], heard.expected),
        ),
    )


def steps_of(expected_shape: Shape, actual_shapes: Sequence[Shape], hint: str) -> tuple[LayoutStep, ...]:
    """Both sides of a hint that fits, the actual one first.

    Raises:
        InputError: it does not fit.
    """
    found = check_layout(expected_shape, actual_shapes, hint)
    if not found.is_fit:
        raise InputError(found.message, hint="take the hint of a layout for these shapes")
    return found.steps


def _pictured(
    side: Literal["expected", "actual"], shapes: Sequence[Shape], steps: Sequence[HeardStep]
) -> list[LayoutStep]:
    name = f"{len(shapes)} ranks" if len(shapes) > 1 else ""
    made = [LayoutStep(side=side, name=name, shape=shapes[0], dims=((),) * len(shapes[0]))]
    for step in steps:
        dims = _dims(step.layout, made[-1].shape, step.shape)
        made.append(LayoutStep(side=side, name=step.call, shape=step.shape, dims=dims))
    return made


def _dims(layout: Layout, before: Shape, after: Shape) -> tuple[tuple[int, ...], ...]:
    if isinstance(layout, Stack):
        return ((), *((dim,) for dim in range(len(before))))
    if not isinstance(layout, Rearrange):
        return tuple((dim,) for dim in range(len(after)))
    if layout.order != tuple(range(len(layout.order))):
        # A permutation as it was said: its atoms are the dims.
        return tuple((dim,) for dim in layout.order)
    if before == after:
        return tuple((dim,) for dim in range(len(after)))
    return tuple(
        tuple(dim for dim in range(len(before)) if _overlap(_span(before, dim), _span(after, new)))
        for new in range(len(after))
    )


def _span(shape: Shape, dim: int) -> tuple[int, int]:
    """Which factors from the outside a dim has, as products: dims that were cut or merged share some."""
    start = math.prod(shape[:dim])
    return start, start * shape[dim]


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return max(one[0], other[0]) < min(one[1], other[1])
