"""Layouts in which one side holds several parts in one tensor, or its numbers several times."""

__all__ = ["fused_in_actual", "fused_in_expected", "repeated"]

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from outgrow.compare.layout.candidates import divisors
from outgrow.compare.layout.chain import Chain, chain
from outgrow.compare.layout.combining import concatenations, one_tensor, straight
from outgrow.compare.layout.layout import Identity, Layout
from outgrow.compare.layout.parts import Part, Repeat
from outgrow.compare.layout.ranks import Concatenate, Replicated
from outgrow.compare.layout.sides import Option
from outgrow.compare.pair import FusedPart

Shape = tuple[int, ...]
_Known = dict[tuple[Shape, ...], list[Option]]
_MAX_LEVELS = 2
_LIMIT = 12


def fused_in_actual(
    shapes: Sequence[Shape], target: Shape, fused: FusedPart, *, are_equal: bool
) -> Iterator[list[Option]]:
    """The fused tensor is the actual one; `target` is the part's shape. `are_equal`: every rank holds the
    same numbers."""
    ways: list[_Way] = []
    known: _Known = {}
    for combined, source in _whole(shapes, are_equal=are_equal):
        for part, times in _parts(source, math.prod(target), fused):
            for before, shape in _repeats(chain(combined, part), part.shape, times):
                ways.append(_of_actual(before, shape, target, known))
    return _by_level(ways)


def fused_in_expected(
    shapes: Sequence[Shape], source: Shape, fused: FusedPart, *, are_equal: bool
) -> Iterator[list[Option]]:
    """The fused tensor is the expected one, of shape `source`; the actual ones are the part. `are_equal`:
    every rank holds the same numbers."""
    is_replicated = are_equal and len(shapes) > 1
    elements = math.prod(shapes[0]) if is_replicated else sum(math.prod(shape) for shape in shapes)
    ways: list[_Way] = []
    known: _Known = {}
    for part, times in _parts(source, elements, fused):
        for taken, target in _repeats(part, part.shape, times):
            ways.append(_of_expected(taken, shapes, target, known, is_replicated=is_replicated))
    return _by_level(ways)


def repeated(shapes: Sequence[Shape], target: Shape) -> Iterator[list[Option]]:
    """One side holds every number several times: key-value heads for each of their query heads, shards on
    several ranks. The smaller side is repeated, so that no copy is left unseen."""
    given, wanted = sum(math.prod(shape) for shape in shapes), math.prod(target)
    ways: list[_Way] = []
    known: _Known = {}
    if given % wanted == 0:
        for taken, shape in _repeats(None, target, given // wanted):
            ways.append(_of_expected(taken, shapes, shape, known))
    elif wanted % given == 0:
        for combined, source in _whole(shapes, are_equal=False):
            for before, shape in _repeats(combined, source, wanted // given):
                ways.append(_of_actual(before, shape, target, known))
    return _by_level(ways)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """Options that are not made before they are wanted."""

    cuts: int
    """Axes that are cut into runs or blocks, where that is not the ranks' doing."""
    options: Callable[[], list[Option]]


def _of_actual(before: Layout, shape: Shape, target: Shape, known: _Known) -> _Way:
    def options() -> list[Option]:
        return [
            dataclasses.replace(option, layout=chain(before, option.layout))
            for option in _assembled([shape], target, known)
        ]

    return _Way(cuts=_cuts(before), options=options)


def _of_expected(
    taken: Layout, shapes: Sequence[Shape], target: Shape, known: _Known, *, is_replicated: bool = False
) -> _Way:
    def options() -> list[Option]:
        if is_replicated:
            ((combined, local),) = _whole(shapes, are_equal=True)
            found = _of_actual(combined, local, target, known).options()
        else:
            found = _assembled(shapes, target, known)
        return [dataclasses.replace(option, expected_layout=taken) for option in found]

    return _Way(cuts=_cuts(taken), options=options)


def _assembled(shapes: Sequence[Shape], target: Shape, known: _Known) -> list[Option]:
    """The first level; looked up where it was asked for before: all parts of a dim have one shape."""
    key = (*shapes, target)
    if key not in known:
        levels = (
            one_tensor(shapes[0], target, limit=_LIMIT)
            if len(shapes) == 1
            else concatenations(shapes, target, limit=_LIMIT)
        )
        known[key] = next(iter(levels), [])
    return known[key]


def _whole(shapes: Sequence[Shape], *, are_equal: bool) -> list[tuple[Layout, Shape]]:
    if are_equal and len(shapes) > 1:
        return [(Replicated(ranks=len(shapes), local=shapes[0]), shapes[0])]
    if len(shapes) == 1:
        return [(Identity(), shapes[0])]
    return [*straight(shapes)]


def _parts(source: Shape, elements: int, fused: FusedPart) -> list[tuple[Part, int]]:
    """Where the part could be, and how often it is to be repeated to have so many elements."""
    total = math.prod(source)
    if not total or not elements:
        return []
    found = []
    for times, shares in _shares(total, elements, fused):
        for dim, size in enumerate(source):
            sizes, rest = zip(*(divmod(size * share, total) for share in shares), strict=True)
            if any(rest) or not all(sizes):
                continue
            for groups in divisors(math.gcd(*sizes)):
                part = Part(
                    source=source,
                    dim=dim,
                    groups=groups,
                    start=sum(sizes[: fused.index]) // groups,
                    size=sizes[fused.index] // groups,
                    name=fused.parts[fused.index],
                )
                found.append((part, times))
    return found


def _shares(total: int, elements: int, fused: FusedPart) -> list[tuple[int, tuple[int, ...]]]:
    """How many elements each part has; two parts are equal, of three the last two are (key and value)."""
    count = len(fused.parts)
    if count != 3:
        return [(1, (elements,) * count)] if elements * count == total else []
    if fused.index == 0:
        rest, odd = divmod(total - elements, 2)
        return [] if odd or rest <= 0 else [(1, (elements, rest, rest))]
    found: list[tuple[int, tuple[int, ...]]] = []
    if total > 2 * elements:
        found.append((1, (total - 2 * elements, elements, elements)))
    # The other side repeated its key-value heads, so that it has as many elements as there are queries.
    single, odd = divmod(total - elements, 2)
    if not odd and 0 < single < elements and elements % single == 0:
        found.append((elements // single, (elements, single, single)))
    return found


def _repeats(before: Layout | None, source: Shape, times: int) -> list[tuple[Layout, Shape]]:
    """All ways to repeat blocks of one dim."""
    if times == 1:
        return [] if before is None else [(before, source)]
    found: list[tuple[Layout, Shape]] = []
    for dim, size in enumerate(source):
        for block in divisors(size):
            repeat = Repeat(source=source, dim=dim, block=block, times=times)
            found.append((repeat if before is None else chain(before, repeat), repeat.shape))
    return found


def _by_level(ways: Sequence[_Way]) -> Iterator[list[Option]]:
    """First those that cut no axis into runs or blocks; among them first those with the fewest atoms."""
    for cuts in sorted({way.cuts for way in ways}):
        levels: dict[int, list[Option]] = {}
        for way in ways:
            if way.cuts == cuts:
                for option in way.options():
                    marked = dataclasses.replace(option, is_usual=option.is_usual and cuts == 0)
                    levels.setdefault(option.atoms, []).append(marked)
        yield from (levels[key] for key in sorted(levels)[:_MAX_LEVELS])


def _cuts(layout: Layout) -> int:
    """In how many axes runs or blocks have to be assumed that nobody made: neither the ranks nor a dim."""
    parts = layout.layouts if isinstance(layout, Chain) else (layout,)
    first = parts[0]
    by_ranks = (first.dim, len(first.shapes)) if isinstance(first, Concatenate) else None
    cuts = 0
    for part in parts:
        if isinstance(part, Part):
            cuts += part.groups != 1 and by_ranks != (part.dim, part.groups)
        elif isinstance(part, Repeat):
            cuts += part.block not in (1, part.source[part.dim])
    return cuts
