"""Two dims of one size, exchanged."""

__all__ = ["diagnose"]

from itertools import combinations

from torch import Tensor

from outgrow.compare.diagnosis.context import Context, as_double, explains, relative_error
from outgrow.compare.diagnosis.diagnosis import Diagnosis

CORNER = 256
"""Entries of each of the two dims that are looked at."""


def diagnose(context: Context) -> Diagnosis | None:
    """`actual` is `expected` with two dims of equal size exchanged: a square matrix, not transposed."""
    shape = context.expected.shape
    for one, other in combinations(range(len(shape)), 2):
        if shape[one] != shape[other] or shape[one] < 4:
            continue
        expected, actual = (_corner(tensor, one, other) for tensor in (context.expected, context.actual))
        left = relative_error(actual, expected.transpose(one, other))
        if explains(left, relative_error(actual, expected), context.allowed):
            detail = (
                f"it is transpose({one}, {other}) of what is expected, up to a relative error of {left:.2g}"
            )
            return Diagnosis(at=context.finding.pair.expected_name, kind="transposed", detail=detail)
    return None


def _corner(tensor: Tensor, one: int, other: int) -> Tensor:
    for dim, size in enumerate(tensor.shape):
        tensor = tensor.narrow(dim, 0, min(size, CORNER if dim in (one, other) else 4))
    return as_double(tensor)
