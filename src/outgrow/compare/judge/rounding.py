"""How much numbers of a dtype are moved by being written down."""

__all__ = ["is_rounded", "unit_roundoff"]

import torch

from outgrow.compare.measures import Measures


def is_rounded(dtype: torch.dtype) -> bool:
    """Whether results of arithmetic are rounded: floats and complex numbers, not integers and bools."""
    return dtype.is_floating_point or dtype.is_complex


def unit_roundoff(measures: Measures) -> float:
    """u of the coarser dtype: half the distance from 1 to the next number; 0.0 for integers and bools."""
    dtypes = (measures.expected_dtype, measures.actual_dtype)
    return max((torch.finfo(dtype).eps / 2 for dtype in dtypes if is_rounded(dtype)), default=0.0)
