"""Numbers that were rounded to a coarser dtype on the way."""

__all__ = ["diagnose"]

import torch
from torch import Tensor

from outgrow.compare.diagnosis.context import Context, as_double, explains, relative_error
from outgrow.compare.diagnosis.diagnosis import Diagnosis

MIN_ELEMENTS = 64
"""Fewer numbers could fit by chance."""
COARSER = (torch.float8_e5m2, torch.float8_e4m3fn, torch.bfloat16, torch.float16)
"""The coarsest first."""


def diagnose(context: Context) -> Diagnosis | None:
    """All actual numbers fit into a coarser dtype, or are the expected ones rounded to it, which do not."""
    if not (context.actual.dtype.is_floating_point and context.expected.dtype.is_floating_point):
        return None
    expected, actual = context.expected_window, context.actual_window
    if expected.numel() < MIN_ELEMENTS:
        return None
    for dtype in COARSER:
        if torch.finfo(dtype).eps <= torch.finfo(context.actual.dtype).eps:
            continue
        rounded = _round(actual, dtype)
        if torch.equal(rounded, actual) and actual.any() and not _fits(context, dtype):
            detail = (
                f"all {actual.numel():,} numbers that were looked at fit into {dtype}, though they are kept"
                f" as {context.actual.dtype} and those expected do not fit"
            )
            return Diagnosis(at=context.finding.pair.expected_name, kind="dtype_downgrade", detail=detail)
        left = relative_error(actual, _round(expected, dtype))
        if explains(left, context.error, context.allowed) and not _fits(context, dtype):
            detail = (
                f"they are the expected numbers rounded to {dtype}, up to a relative error of {left:.2g}"
                f" instead of {context.error:.2g}"
            )
            return Diagnosis(at=context.finding.pair.expected_name, kind="dtype_downgrade", detail=detail)
    return None


def _round(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return as_double(tensor.to(dtype))


def _fits(context: Context, dtype: torch.dtype) -> bool:
    expected = context.expected_window
    return torch.equal(_round(expected, dtype), expected)
