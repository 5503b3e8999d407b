"""Sums over a part of a pair of tensors, and how the sums of two parts become those of both."""

__all__ = ["SideTally", "Tally", "unscaled"]

import math
from dataclasses import dataclass, field


def unscaled(number: float, power: int) -> float:
    """`number * 2 ** power`; infinite where float64 cannot hold it."""
    try:
        return math.ldexp(number, power)
    except OverflowError:
        return math.copysign(math.inf, number)


@dataclass(slots=True)
class SideTally:
    """Of one side alone. Both parts of a complex number count, as two numbers."""

    finite: int = 0
    """Finite numbers."""
    mean: float = 0.0
    """Of them, times `2 ** -power`."""
    squares: float = 0.0
    """Sum of the squares of their deviations from `mean`, times `2 ** (-2 * power)`."""
    power: int = 0
    """0 but where numbers are so large or small that their squares leave the range of float64."""
    minimum: float = math.inf
    maximum: float = -math.inf
    nan: int = 0
    """Elements that are NaN; a complex one is where a part is."""
    inf: int = 0
    first_nan: int | None = None
    """Which element, counted in row-major order."""

    def add(self, later: "SideTally") -> None:
        """Take in the sums of the part that follows.

        Source: Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample
        variances", equation 2.1.
        """
        self.nan += later.nan
        self.inf += later.inf
        self.first_nan = later.first_nan if self.first_nan is None else self.first_nan
        if not later.finite:
            return
        power = max(self.power, later.power) if self.finite else later.power
        mean, later_mean = (math.ldexp(side.mean, side.power - power) for side in (self, later))
        squares, later_squares = (
            math.ldexp(side.squares, 2 * (side.power - power)) for side in (self, later)
        )
        total = self.finite + later.finite
        apart = later_mean - mean
        self.mean = mean + apart * (later.finite / total)
        self.squares = squares + later_squares + apart * apart * (self.finite * (later.finite / total))
        self.finite = total
        self.power = power
        self.minimum = min(self.minimum, later.minimum)
        self.maximum = max(self.maximum, later.maximum)


@dataclass(slots=True)
class Tally:
    """Of both sides together. `actual` and `expected` hold what concerns one of them."""

    actual: SideTally = field(default_factory=SideTally)
    expected: SideTally = field(default_factory=SideTally)
    elements: int = 0
    mismatched: int = 0
    outside: int = 0
    max_abs: float = 0.0
    """An exact `int` where both sides are integers."""
    max_abs_at: int | None = None
    """Which element, counted in row-major order: the first."""
    max_ulp: int = 0
    nan_apart: bool = False
    """Whether NaN stands against a number anywhere."""
    finite: int = 0
    """Numbers that are finite on both sides, those that the following sums are over."""
    squares: float = 0.0
    """Sum of squared distances, times `2 ** (-2 * power)`."""
    power: int = 0
    actual_squares: float = 0.0
    """Sum of the squares of `actual`, times `2 ** (-2 * actual_power)`."""
    actual_power: int = 0
    expected_squares: float = 0.0
    expected_power: int = 0
    products: float = 0.0
    """Sum of `actual * expected`, times `2 ** -(actual_power + expected_power)`."""
    exponents: dict[int, int] = field(default_factory=dict)
    """How many finite distances lie in `[2 ** e, 2 ** (e + 1))`."""

    def add(self, later: "Tally") -> None:
        """Take in the sums of the part that follows; the order of the parts decides the last bits."""
        self.actual.add(later.actual)
        self.expected.add(later.expected)
        if later.max_abs > self.max_abs:
            self.max_abs = later.max_abs
            self.max_abs_at = later.max_abs_at
        self.elements += later.elements
        self.mismatched += later.mismatched
        self.outside += later.outside
        self.max_ulp = max(self.max_ulp, later.max_ulp)
        self.nan_apart |= later.nan_apart
        for exponent, count in later.exponents.items():
            self.exponents[exponent] = self.exponents.get(exponent, 0) + count
        self.finite += later.finite
        self.squares, self.power = _sum(self.squares, self.power, later.squares, later.power)
        before, after = self.actual_power + self.expected_power, later.actual_power + later.expected_power
        self.actual_squares, self.actual_power = _sum(
            self.actual_squares, self.actual_power, later.actual_squares, later.actual_power
        )
        self.expected_squares, self.expected_power = _sum(
            self.expected_squares, self.expected_power, later.expected_squares, later.expected_power
        )
        power = self.actual_power + self.expected_power
        self.products = unscaled(self.products, before - power) + unscaled(later.products, after - power)


def _sum(one: float, one_power: int, other: float, other_power: int) -> tuple[float, int]:
    """Two sums of squares that are scaled each in its own way, as one; a sum of 0 has no say in the scale."""
    if not other:
        return one, one_power
    if not one:
        return other, other_power
    power = max(one_power, other_power)
    return math.ldexp(one, 2 * (one_power - power)) + math.ldexp(other, 2 * (other_power - power)), power
