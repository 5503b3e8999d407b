"""Numbers of a pair that are looked for."""

__all__ = ["Found", "Query", "find", "find_maximum"]

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor

from outgrow.compare.view.gap import beyond, gap
from outgrow.compare.view.side import Side
from outgrow.compare.view.spec import Spec
from outgrow.compare.view.typed import TypedNumber, in_range
from outgrow.compare.view.window import Window
from outgrow.difference.numbers import bits, plain
from outgrow.errors import InputError

What = Literal["difference", "value", "range", "nan", "inf"]
Which = Literal["expected", "actual", "either"]
_FIRST_ELEMENTS, _MOST_ELEMENTS = 1 << 15, 1 << 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for, and where."""

    what: What
    side: Which = "either"
    """Whose numbers have to match; for a difference it does not count."""
    value: TypedNumber | None = None
    """Of `value`."""
    low: Fraction | float = -math.inf
    """Of `range`, included."""
    high: Fraction | float = math.inf
    """Of `range`, included."""
    rtol: float = 0.0
    """Of `difference`: what is not beyond `atol + rtol * |expected|` is none."""
    atol: float = 0.0
    or_any: bool = False
    """Whether any difference will do where none is beyond that."""

    @classmethod
    def parse(
        cls, value: Mapping[str, object], *, rtol: float = 0.0, atol: float = 0.0, or_any: bool = False
    ) -> "Query":
        """What a page sent: `what`, `side`, `low` and `high`; `low` is the value where one is looked for.

        Raises:
            InputError: something is missing, unknown or no number.
        """
        what, side = value.get("what"), value.get("side", "either")
        if what not in get_args(What):
            raise InputError(f"what is {ascii(what)[:80]}", hint=f"it is one of {', '.join(get_args(What))}")
        if side not in get_args(Which):
            raise InputError(f"side is {ascii(side)[:80]}", hint=f"it is one of {', '.join(get_args(Which))}")
        which = cast("Which", side)
        low, high = value.get("low"), value.get("high")
        if what == "value":
            return cls(what="value", side=which, value=TypedNumber.parse(low))
        if what != "range":
            return cls(what=cast("What", what), side=which, rtol=rtol, atol=atol, or_any=or_any)
        first = -math.inf if low in (None, "") else TypedNumber.parse(low).bound("low")
        last = math.inf if high in (None, "") else TypedNumber.parse(high).bound("high")
        if first > last:
            raise InputError(f"the range from {low} to {high} is empty", hint="low is the smaller number")
        return cls(what="range", side=which, low=first, high=last)

    def matches(self, expected: Tensor | None, actual: Tensor | None) -> Tensor:
        """Which of `[elements]` match; of a side that is not there none does."""
        if self.what == "difference":
            if expected is None or actual is None:
                raise InputError("a difference was looked for on one side", hint="look at both sides")
            if expected.dtype == actual.dtype and _are_equal(expected, actual):
                return torch.zeros(expected.shape, dtype=torch.bool)
            return beyond(gap(actual, expected), expected, rtol=self.rtol, atol=self.atol)
        asked = {"expected": (expected,), "actual": (actual,), "either": (expected, actual)}[self.side]
        sides = [self._matches(numbers) for numbers in asked if numbers is not None]
        if not sides:
            raise InputError(f"the {self.side} tensor is not there", hint="look at the other side")
        return sides[0] if len(sides) == 1 else sides[0] | sides[1]

    def _matches(self, numbers: Tensor) -> Tensor:
        if self.what == "nan":
            return _any_part(numbers, torch.isnan)
        if self.what == "inf":
            return _any_part(numbers, torch.isinf)
        if self.what == "range":
            return in_range(numbers, self.low, self.high)
        assert self.value is not None  # `parse` sees to it
        return self.value.matches(numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where the next match is."""

    index: tuple[int, ...] | None
    """In the shape in which both sides are compared; None where nothing matches."""
    expected_index: tuple[int, ...] | None = None
    """In the stored tensor."""
    actual_index: tuple[int, ...] | None = None
    """In the stored tensor, of `actual_rank`."""
    actual_rank: int | None = None
    wrapped: bool = False
    """Whether the search went on at the other end."""
    count: int | None = None
    """How many match in all; None where they were not counted."""
    is_allowed: bool = False
    """Whether it is a difference within the tolerance: none is beyond it."""

    def as_json(self) -> dict[str, object]:
        """What a page is given."""
        places = (self.index, self.expected_index, self.actual_index)
        index, expected, actual = (None if place is None else list(place) for place in places)
        return {
            "index": index,
            "expected_index": expected,
            "actual_index": actual,
            "actual_rank": self.actual_rank,
            "wrapped": self.wrapped,
            "count": self.count,
            "is_allowed": self.is_allowed,
        }


def find(
    query: Query,
    expected: Side | None,
    actual: Side | None,
    *,
    start: tuple[int, ...] | None = None,
    direction: Literal[1, -1] = 1,
    is_counted: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Found:
    """The next match after `start`, an index in the shape of the sides, in row-major order, or the one before
    it. The search goes on at the other end, up to `start` itself. Without `start` it begins at an end.

    Sides that are both there are of one shape. `check` is called now and then: what it raises ends the
    search.

    Raises:
        InputError: the shapes differ, `start` lies outside, or the query asks for a side that is not there.
    """
    shape = _shape(expected, actual)
    elements = math.prod(shape)
    first = None if start is None else _flat(start, shape)
    count = _count(query, expected, actual, check) if is_counted else None
    for low, high, wrapped in _ways(first, elements, direction):
        if count == 0:
            break
        for begin, end in _chunks(low, high, direction):
            check()
            matches = query.matches(*(_numbers(side, begin, end) for side in (expected, actual)))
            if bool(matches.any()):
                places = torch.nonzero(matches).flatten()
                place = begin + int(places[0 if direction == 1 else -1])
                return _found(place, shape, expected, actual, wrapped=wrapped, count=count)
    if query.what == "difference" and query.or_any and (query.rtol or query.atol):
        query = replace(query, rtol=0.0, atol=0.0)
        found = find(
            query, expected, actual, start=start, direction=direction, is_counted=is_counted, check=check
        )
        return replace(found, is_allowed=found.index is not None)
    return Found(index=None, count=count)


def find_maximum(expected: Side, actual: Side, *, check: Callable[[], None] = lambda: None) -> Found:
    """Where the largest difference is: the first in row-major order. NaN against a number is larger than all.

    Raises:
        InputError: the shapes differ.
    """
    shape = _shape(expected, actual)
    largest, place = 0.0, None
    for begin, end in _chunks(0, math.prod(shape), 1):
        check()
        one, other = _numbers(expected, begin, end), _numbers(actual, begin, end)
        assert one is not None
        assert other is not None
        if one.dtype == other.dtype and _are_equal(one, other):
            continue
        apart = gap(other, one).abs().double()
        apart.masked_fill_(apart.isnan(), math.inf)
        most = float(apart.max())
        if most > largest:
            largest, place = most, begin + int((apart == most).byte().argmax())
    return Found(index=None) if place is None else _found(place, shape, expected, actual)


def _found(
    place: int,
    shape: tuple[int, ...],
    expected: Side | None,
    actual: Side | None,
    *,
    wrapped: bool = False,
    count: int | None = None,
) -> Found:
    stored = [None if side is None else side.place(np.array([place])) for side in (expected, actual)]
    indices = [None if one is None else one.indices()[0] for one in stored]
    return Found(
        index=tuple(int(digit) for digit in np.unravel_index(place, shape)) if shape else (),
        expected_index=indices[0],
        actual_index=indices[1],
        actual_rank=None if stored[1] is None else int(stored[1].ranks[0]),
        wrapped=wrapped,
        count=count,
    )


def _shape(expected: Side | None, actual: Side | None) -> tuple[int, ...]:
    shapes = [side.shape for side in (expected, actual) if side is not None]
    if not shapes or shapes[0] != shapes[-1]:
        raise InputError(
            f"{' and '.join(str(list(shape)) for shape in shapes) or 'nothing'} cannot be searched together",
            hint="search one side, or both as they were laid out",
        )
    return shapes[0]


def _flat(index: tuple[int, ...], shape: tuple[int, ...]) -> int:
    if len(index) != len(shape) or not all(0 <= i < size for i, size in zip(index, shape, strict=True)):
        raise InputError(f"{list(index)} is no index of {list(shape)}", hint="begin within the tensor")
    place = 0
    for digit, size in zip(index, shape, strict=True):
        place = place * size + digit
    return place


def _ways(first: int | None, elements: int, direction: int) -> list[tuple[int, int, bool]]:
    """Ranges to be searched, one after the other, and whether that is beyond the end."""
    if first is None:
        return [(0, elements, False)]
    if direction == 1:
        return [(first + 1, elements, False), (0, first + 1, True)]
    return [(0, first, False), (first, elements, True)]


def _chunks(low: int, high: int, direction: int) -> Iterator[tuple[int, int]]:
    """Small ones first: the next match is often near."""
    size = _FIRST_ELEMENTS
    while low < high:
        if direction == 1:
            yield low, min(low + size, high)
            low += size
        else:
            yield max(low, high - size), high
            high -= size
        size = min(2 * size, _MOST_ELEMENTS)


def _numbers(side: Side | None, begin: int, end: int) -> Tensor | None:
    """`[end - begin]` of the line of all numbers."""
    if side is None:
        return None
    line = Window(side, Spec(fixed=(), flat=True))
    return line.block(0, 1, begin, end - begin)[0]


def _count(query: Query, expected: Side | None, actual: Side | None, check: Callable[[], None]) -> int:
    count = 0
    for begin, end in _chunks(0, math.prod(_shape(expected, actual)), 1):
        check()
        matches = query.matches(*(_numbers(side, begin, end) for side in (expected, actual)))
        count += int(matches.count_nonzero())
    return count


def _are_equal(one: Tensor, other: Tensor) -> bool:
    """Whether all bits are, which is soon said of most pieces."""
    return torch.equal(bits(plain(one)), bits(plain(other)))


def _any_part(numbers: Tensor, test: Callable[[Tensor], Tensor]) -> Tensor:
    if numbers.is_complex():
        return test(torch.view_as_real(numbers)).any(dim=1)
    if not numbers.is_floating_point():
        return torch.zeros(numbers.shape, dtype=torch.bool)
    return test(numbers.double() if numbers.dtype.itemsize == 1 else numbers)
