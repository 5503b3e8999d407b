"""The layout of one pair by itself; `stage` lets the layers of a stage vote."""

__all__ = ["PairFound", "search_pair"]

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from outgrow.compare.layout.combining import concatenations, one_tensor
from outgrow.compare.layout.evidence import DECIDED, closer
from outgrow.compare.layout.layout import Layout
from outgrow.compare.layout.ranks import PartialSum, Replicated
from outgrow.compare.layout.samples import Numbers
from outgrow.compare.layout.search import Found, Option, Sides, search

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFound:
    """What the numbers of one pair say."""

    found: Found
    expected_layout: Layout | None = None
    notes: tuple[str, ...] = ()
    suspected: dict[str, str] = field(default_factory=dict)


def search_pair(expected: Tensor, actual: Sequence[Tensor]) -> PairFound:
    """Look for the layout of the ranks' tensors `actual` that gives `expected`."""
    target, shapes = tuple(expected.shape), [tuple(tensor.shape) for tensor in actual]
    counts = [math.prod(shape) for shape in shapes]
    sides = Sides(expected=Numbers([expected]), actual=Numbers(actual), shape=target)
    if len(actual) == 1:
        if counts[0] == sides.elements:
            return PairFound(found=search(sides, one_tensor(shapes[0], target)))
    elif sum(counts) == sides.elements:
        return PairFound(found=search(sides, concatenations(shapes, target)))
    elif set(counts) == {sides.elements} and len(set(shapes)) == 1:
        return _search_whole(sides, shapes[0], target, len(actual))
    return PairFound(found=Found(layout=None, ground="none"), notes=(_sizes(target, shapes),))


def _search_whole(sides: Sides, local: Shape, target: Shape, ranks: int) -> PairFound:
    """Ranks with the whole shape each: all equal, or summands."""
    replicated = Replicated(ranks=ranks, local=local)
    found = search(sides, one_tensor(local, target, before=replicated))
    each = [
        sides.actual.at(sides.uniform, Replicated(ranks=ranks, local=local, uses=rank))
        for rank in range(ranks)
    ]
    if all(np.array_equal(each[0], values, equal_nan=True) for values in each[1:]):
        return PairFound(found=found)
    total = PartialSum(ranks=ranks, local=local)
    summed = search(sides, one_tensor(local, target, before=total))
    if summed.layout is None or not is_sum(sides, summed.layout, local, target, ranks):
        return PairFound(found=found)
    return PairFound(found=summed)


def is_sum(sides: Sides, layout: Layout, local: Shape, target: Shape, ranks: int) -> bool:
    """Whether the expected numbers are the ranks' sum rather than any rank's own: unscaled, since the sum of
    equal ranks is their multiple."""
    raw = sides.actual.at(sides.positions, layout)
    for rank in range(ranks):
        replicated = Replicated(ranks=ranks, local=local, uses=rank)
        alone = search(sides, one_tensor(local, target, before=replicated)).layout
        if alone is None:
            continue
        if closer(sides.raw_truth, raw, sides.actual.at(sides.positions, alone)) < DECIDED:
            return False
    return True


def _sizes(target: Shape, shapes: Sequence[Shape]) -> str:
    given = " and ".join(str(list(shape)) for shape in dict.fromkeys(shapes))
    count = f" on {len(shapes)} ranks" if len(shapes) > 1 else ""
    return (
        f"{given}{count} cannot make {list(target)}: the numbers of elements differ. Padded or cut tensors "
        f"are not laid out"
    )


Levels = Callable[[], Iterable[list[Option]]]
