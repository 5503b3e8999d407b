"""The layout of one pair by itself; `stage` lets the layers of a stage vote."""

__all__ = ["PairFound", "search_pair"]

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from outgrow.compare.layout.chain import chain, split_chain
from outgrow.compare.layout.combining import concatenations, one_tensor, straight
from outgrow.compare.layout.evidence import DECIDED, agreement, closer
from outgrow.compare.layout.fused import fused_in_actual, fused_in_expected, repeated
from outgrow.compare.layout.rank_order import RankOrder, find_order
from outgrow.compare.layout.ranks import Combination, PartialSum, Replicated
from outgrow.compare.layout.rearrange import squeezed
from outgrow.compare.layout.samples import Numbers, draw_positions
from outgrow.compare.layout.search import Found, search
from outgrow.compare.layout.sides import Option, Sides
from outgrow.compare.pair import FusedPart

Shape = tuple[int, ...]
_COMPARED = 1024
_MOST_ORDERS = 32
_CLEARLY = 0.2
_ALIKE = 0.5
"""Agreement of ranks with each other from which they can be replicas that drifted apart."""
_UNDOUBTED = 0.9
"""Agreement from which all ranks are certainly where they belong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFound:
    """What the numbers of one pair say."""

    found: Found
    note: str | None = None
    """Why there is none."""
    order: RankOrder | None = None
    """Of the ranks, where another one than the given would fit."""
    tried: tuple[Option, ...] = ()
    """What was tried in vain, the simplest first."""


def search_pair(
    expected: Tensor,
    actual: Sequence[Tensor],
    *,
    fused: FusedPart | None = None,
    declared: Combination | None = None,
    is_fused: bool = False,
) -> PairFound:
    """Look for the layout of the ranks' tensors `actual` that gives `expected`, or that gives a part of it
    where `expected` is fused. `declared` is tried first. `is_fused`: both sides hold several parts."""
    target, shapes = tuple(expected.shape), [tuple(tensor.shape) for tensor in actual]
    counts = [math.prod(shape) for shape in shapes]
    if not math.prod(target) or not sum(counts):
        return _empty(shapes, target)
    are_equal = len(actual) > 1 and _are_equal(Numbers(actual), shapes)
    if fused is not None:
        find = fused_in_actual if fused.side == "actual" else fused_in_expected
        fitting = find(shapes, target, fused, are_equal=are_equal)
        return _among(expected, actual, fitting, f"{fused.parts[fused.index]} as a part")
    if sum(counts) == math.prod(target):
        return _side_by_side(Sides(expected, actual), shapes, target, declared, is_fused=is_fused)
    if set(counts) == {math.prod(target)} and len(set(shapes)) == 1:
        sides = Sides(expected, actual)
        return PairFound(found=_search_whole(sides, shapes[0], target, declared, are_equal=are_equal))
    return _among(expected, actual, repeated(shapes, target), "repeated numbers")


def _empty(shapes: Sequence[Shape], target: Shape) -> PairFound:
    """Nothing to look at: the shapes decide."""
    if len(shapes) == 1 and math.prod(shapes[0]) == math.prod(target):
        ((option,),) = one_tensor(shapes[0], target)
        return PairFound(found=Found(option=option, ground="confirmed"))
    # Replicas, too: a dim of size 0 is no larger on all ranks together.
    for combined, shape in straight(shapes):
        if squeezed(shape) == squeezed(target):
            ((option,),) = one_tensor(shape, target, before=combined)
            return PairFound(found=Found(option=option, ground="confirmed"))
    return PairFound(found=Found(option=None, ground="none"), note=_sizes(target, shapes, "repeated numbers"))


class _Trials:
    """Levels, and what was in those that were asked for."""

    def __init__(self, levels: Iterable[Sequence[Option]]) -> None:
        self.options: list[Option] = []
        self._levels = levels

    def __iter__(self) -> Iterator[Sequence[Option]]:
        for level in self._levels:
            self.options.extend(level)
            yield level


def _side_by_side(
    sides: Sides, shapes: Sequence[Shape], target: Shape, declared: Combination | None, *, is_fused: bool
) -> PairFound:
    levels: Iterable[list[Option]]
    if len(shapes) == 1:
        trials = _Trials(one_tensor(shapes[0], target))
        found = search(sides, trials)
        return PairFound(found=found, tried=() if found.option else tuple(trials.options))
    levels = concatenations(shapes, target, is_fused=is_fused)
    if declared is not None and math.prod(declared.shape) == math.prod(target):
        levels = itertools.chain(one_tensor(declared.shape, target, before=declared), levels)
    known = list(itertools.islice(levels, 1))
    found = search(sides, itertools.chain(known, levels), shapes_suffice=not is_fused)
    if found.agreement < _UNDOUBTED:
        ordered = _in_order(sides, known[0] if known else [], found)
        if ordered is not None:
            return ordered
    return PairFound(found=found, tried=() if found.option or not known else tuple(known[0]))


def _among(
    expected: Tensor, actual: Sequence[Tensor], levels: Iterable[Sequence[Option]], what: str
) -> PairFound:
    """Where the shapes alone never suffice."""
    target, shapes = tuple(expected.shape), [tuple(tensor.shape) for tensor in actual]
    rest = iter(levels)
    known = next(rest, None)
    if known is None:
        return PairFound(found=Found(option=None, ground="none"), note=_sizes(target, shapes, what))
    first = known[0]
    elements = math.prod(size for size, _ in first.digits)
    sides = Sides(expected, actual, elements=elements, expected_layout=first.expected_layout)
    trials = _Trials(itertools.chain([known], rest))
    found = search(sides, trials, shapes_suffice=False)
    if found.option is None or found.agreement < _UNDOUBTED:
        ordered = _in_order(sides, known, found)
        if ordered is not None:
            return ordered
    note = None
    if found.option is None:
        note = f"{_given(target, shapes)}: the shapes allow {what}, but the numbers confirm no way to do it"
    return PairFound(found=found, note=note, tried=() if found.option else tuple(trials.options))


def _in_order(sides: Sides, options: Sequence[Option], found: Found) -> PairFound | None:
    """A plain layout that would hold if the ranks had been given in another order."""
    orders = {option: find_order(sides, option) for option in options[:_MOST_ORDERS] if option.is_usual}
    fitting = {option: order for option, order in orders.items() if order is not None}
    if not fitting:
        return None
    best = max(fitting, key=lambda option: fitting[option].all_after)
    if found.option is not None and fitting[best].all_after < found.agreement + _CLEARLY:
        return None
    ordered = Found(option=best, ground="partly", agreement=fitting[best].before)
    return PairFound(found=ordered, order=fitting[best])


def _search_whole(
    sides: Sides, local: Shape, target: Shape, declared: Combination | None, *, are_equal: bool
) -> Found:
    """Ranks with the whole shape each: all equal, or summands."""
    ranks = len(sides.actual.tensors)
    if not are_equal and not isinstance(declared, Replicated):
        total = PartialSum(ranks=ranks, local=local)
        summed = search(sides, one_tensor(local, target, before=total))
        if isinstance(declared, PartialSum) or _is_sum(sides, summed):
            return summed
    replicated = Replicated(ranks=ranks, local=local)
    found = search(sides, one_tensor(local, target, before=replicated))
    if are_equal or isinstance(declared, Replicated) or _are_like(sides, found):
        return found
    others = () if found.option is None else (found.option,)
    return Found(option=None, ground="ambiguous", agreement=found.agreement, others=others)


def _are_like(sides: Sides, found: Found) -> bool:
    """Whether ranks that are not equal can still be replicas: one is right, or they are like each other."""
    if found.option is None:
        return False
    replicated, rest = split_chain(found.option.layout)
    assert isinstance(replicated, Replicated), "these options use one rank"
    each = []
    for rank in range(replicated.ranks):
        layout = chain(dataclasses.replace(replicated, uses=rank), rest)
        each.append(sides.scale_of(layout).apply(sides.actual.at(sides.positions, layout)))
    truth = sides.truth(found.option.expected_layout)
    if max(agreement(truth, values) for values in each) >= _UNDOUBTED:
        return True
    pairs = [agreement(one, other) for one, other in itertools.combinations(each, 2)]
    return float(np.median(pairs)) >= _ALIKE


def _are_equal(numbers: Numbers, shapes: Sequence[Shape]) -> bool:
    if len(set(shapes)) != 1:
        return False
    places = draw_positions(shapes[0], _COMPARED, seed=2)
    replicated = Replicated(ranks=len(shapes), local=shapes[0])
    first, *others = (
        numbers.at(places, dataclasses.replace(replicated, uses=rank)) for rank in range(len(shapes))
    )
    return all(np.array_equal(first, other, equal_nan=True) for other in others)


def _is_sum(sides: Sides, summed: Found) -> bool:
    """Whether the expected numbers are the ranks' sum rather than any rank's own. Not scaled, since the sum
    of equal ranks is their multiple."""
    if summed.option is None or summed.ground not in ("confirmed", "equal"):
        return False
    total, rest = split_chain(summed.option.layout)
    assert isinstance(total, PartialSum), "these options add the ranks up"
    truth = sides.raw_truth(summed.option.expected_layout)
    errors = np.abs(truth - sides.actual.at(sides.positions, summed.option.layout))
    for rank in range(total.ranks):
        alone = chain(Replicated(ranks=total.ranks, local=total.local, uses=rank), rest)
        if closer(errors, np.abs(truth - sides.actual.at(sides.positions, alone))) < DECIDED:
            return False
    return True


def _sizes(target: Shape, shapes: Sequence[Shape], what: str) -> str:
    return (
        f"{_given(target, shapes)}: the numbers of elements do not fit, also not with {what} "
        f"(padded or cut tensors are not laid out)"
    )


def _given(target: Shape, shapes: Sequence[Shape]) -> str:
    given = " and ".join(str(list(shape)) for shape in dict.fromkeys(shapes))
    count = f" on {len(shapes)} ranks" if len(shapes) > 1 else ""
    return f"{given}{count} against {list(target)}"
