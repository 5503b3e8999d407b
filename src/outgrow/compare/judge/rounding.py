"""How much two right implementations differ by nothing but rounding."""

__all__ = ["floor_of", "is_rounded", "unit_roundoff"]

import torch

from outgrow.compare.measures import Measures

WIDE = 4.0
"""Unit roundoffs between two right results whose sums are kept in the dtype itself (float32, float64)."""
NARROW = 1.5
"""The same for dtypes of 16 bits and less: their sums are kept in float32, and only results are rounded: a
dozen times, by 0.42 u each in the mean."""


def is_rounded(dtype: torch.dtype) -> bool:
    """Whether results of arithmetic are rounded: floats and complex numbers, not integers and bools."""
    return dtype.is_floating_point or dtype.is_complex


def unit_roundoff(dtype: torch.dtype) -> float:
    """u: half the distance from 1 to the next number; 0.0 for integers and bools."""
    return torch.finfo(dtype).eps / 2 if is_rounded(dtype) else 0.0


def floor_of(measures: Measures) -> float:
    """The relative error up to which a pair tells nothing, of the coarser dtype; 0.0 for integers."""
    return max(_floor(dtype) for dtype in (measures.expected_dtype, measures.actual_dtype))


def _floor(dtype: torch.dtype) -> float:
    roundoff = unit_roundoff(dtype)
    return roundoff * (WIDE if roundoff < 1e-6 else NARROW)
