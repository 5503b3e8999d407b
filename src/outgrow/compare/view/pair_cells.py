"""Two windows of numbers against each other."""

__all__ = ["PairCells", "compare_cells"]

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from outgrow.compare.kernel.rounding import coarser, ordered_in
from outgrow.compare.view.cells import Cells
from outgrow.compare.view.gap import beyond, gap
from outgrow.compare.view.plain import number_of, whole_number_of
from outgrow.difference.numbers import INT64_MIN, Numbers, plain, steps


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCells:
    """What lies between the cells of both sides at one place of their windows; None where a side has none.
    Row by row over as many rows and columns as both windows have."""

    height: int
    width: int
    difference: list[float | int | None]
    """`actual - expected`: of integers exact, of others in float64; NaN against NaN is 0, against a number
    NaN. Of complex numbers the modulus."""
    text: list[str | None]
    """The same, written out: all digits of large integers."""
    ulp: list[int | None]
    """How many steps of the coarser dtype lie between, as `outgrow.difference` counts; None where one is NaN
    and the other is not."""
    differs: list[bool]
    """Whether the difference is larger than allowed; False where a side has no cell."""

    def as_json(self) -> dict[str, object]:
        """What a page is given."""
        return {
            "difference": [number_of(found) for found in self.difference],
            "difference_text": self.text,
            "ulp": [None if count is None else whole_number_of(count) for count in self.ulp],
            "differs": self.differs,
        }


def compare_cells(expected: Cells, actual: Cells, *, rtol: float = 0.0, atol: float = 0.0) -> PairCells:
    """Set the cells of two windows against each other by their place in the window."""
    height, width = min(expected.height, actual.height), min(expected.width, actual.width)
    both = expected.is_present[:height, :width] & actual.is_present[:height, :width]
    one, other = _numbers(actual, both), _numbers(expected, both)
    apart = gap(one, other)
    differs = beyond(apart, other, rtol=rtol, atol=atol).tolist()
    exact = _exact(one, other, apart)
    order = np.where(both.reshape(-1), np.cumsum(both.reshape(-1)) - 1, -1).tolist()
    ulp = _ulp(one, other)
    return PairCells(
        height=height,
        width=width,
        difference=[None if place < 0 else exact[place] for place in order],
        text=[None if place < 0 else repr(exact[place]) for place in order],
        ulp=[None if place < 0 else ulp[place] for place in order],
        differs=[place >= 0 and differs[place] for place in order],
    )


def _numbers(cells: Cells, both: "np.ndarray[tuple[int, int], np.dtype[np.bool_]]") -> Tensor:
    """`[present]`: those that stand where both sides have one."""
    wanted = np.zeros_like(cells.is_present)
    wanted[: both.shape[0], : both.shape[1]] = both
    return cells.numbers[torch.from_numpy(np.flatnonzero(wanted[cells.is_present]))]


def _exact(actual: Tensor, expected: Tensor, apart: Tensor) -> Sequence[float | int]:
    if actual.is_complex() or expected.is_complex():
        found: list[float | int] = apart.tolist()
        return found
    return [_minus(one, other) for one, other in zip(_python(actual), _python(expected), strict=True)]


def _minus(actual: float, expected: float) -> float | int:
    if isinstance(actual, int) and isinstance(expected, int):
        return actual - expected
    if actual == expected or (actual != actual and expected != expected):
        return 0.0
    if isinstance(actual, int) != isinstance(expected, int) and isfinite(actual) and isfinite(expected):
        return float(Fraction(actual) - Fraction(expected))
    return actual - expected


def _python(numbers: Tensor) -> list[float | int]:
    found: list[float | int] = (numbers.double() if numbers.is_floating_point() else numbers).tolist()
    return [int(number) for number in found] if numbers.dtype == torch.bool else found


def _ulp(actual: Tensor, expected: Tensor) -> list[int | None]:
    """Of complex numbers the larger of both parts."""
    if not actual.numel():
        return []
    one, other = plain(actual), plain(expected)
    columns = max(one.shape[1], other.shape[1])
    one, other = (
        side if side.shape[1] == columns else torch.cat([side, torch.zeros_like(side)], dim=1)
        for side in (one, other)
    )
    numbers, others = Numbers.of(one), Numbers.of(other)
    if numbers.is_integer and others.is_integer:
        pairs = zip(_python(actual), _python(expected), strict=True)
        return [abs(int(mine) - int(theirs)) for mine, theirs in pairs]
    dtype = coarser(one.dtype, other.dtype)
    if one.dtype == other.dtype:
        apart = steps(numbers, others)
    else:
        one, other = (side.float() if side.dtype == torch.float8_e8m0fnu else side for side in (one, other))
        numbers, others = Numbers.of(one), Numbers.of(other)
        assert dtype is not None  # one of them is a float
        mine, theirs = ordered_in(dtype, one, numbers), ordered_in(dtype, other, others)
        apart = (torch.maximum(mine, theirs) - torch.minimum(mine, theirs)) ^ INT64_MIN
    apart = apart.masked_fill(numbers.nan & others.nan, INT64_MIN).amax(dim=1)
    is_uncounted = (numbers.nan != others.nan).any(dim=1).tolist()
    return [
        None if off else count - INT64_MIN for count, off in zip(apart.tolist(), is_uncounted, strict=True)
    ]
