"""Partial sums that were not added up."""

__all__ = ["diagnose"]

import math

from outgrow.compare.diagnosis.constant_factor import factor_between
from outgrow.compare.diagnosis.context import Context, as_double, explains, relative_error
from outgrow.compare.diagnosis.diagnosis import Diagnosis

RANKS = (2, 4, 8, 16)


def diagnose(context: Context) -> Diagnosis | None:
    """The sum over the ranks is right, or a single rank looks like one of so many partial sums."""
    return _from_all_ranks(context) or _from_one_rank(context)


def _from_all_ranks(context: Context) -> Diagnosis | None:
    records, layout = context.finding.pair.actual, context.finding.layout.layout
    if layout is None or len(records) < 2 or any(record.shape != records[0].shape for record in records):
        return None
    total = sum((as_double(record.read()) for record in records[1:]), start=as_double(records[0].read()))
    laid_out = total if layout.is_identity else layout.apply([total] * len(records))
    if laid_out.shape != context.expected.shape:
        return None
    left = relative_error(context.window_of(laid_out), context.expected_window)
    if not explains(left, context.error, context.allowed):
        return None
    detail = (
        f"the sum of the {len(records)} ranks is right, up to a relative error of {left:.2g}; they were not"
        " added"
    )
    return Diagnosis(at=context.finding.pair.expected_name, kind="missing_all_reduce", detail=detail)


def _from_one_rank(context: Context) -> Diagnosis | None:
    """One of n partial sums that have nothing to do with each other: the factor of least squares is 1/n, and
    so is the square of the cosine. Only where no element is right: else it is a part, not a partial sum."""
    expected, actual = context.expected_window, context.actual_window
    norm = float(actual.norm())
    factor = factor_between(actual, expected)
    if factor is None or norm == 0 or expected.numel() < 4096 or expected.ndim < 2:
        return None
    cosine = factor * float(expected.norm()) / norm
    near = (actual - expected).abs() <= 0.01 * expected.abs()
    if cosine <= 0 or float(near.double().mean()) > 0.05:
        return None
    for ranks in RANKS:
        if all(math.isclose(value * ranks, 1, rel_tol=0.1) for value in (factor, cosine**2)):
            detail = (
                f"the factor of least squares is {factor:.3f} and the cosine {cosine:.3f}, as of one of"
                f" {ranks} partial sums (1/{ranks} and 1/sqrt({ranks})): they were not added"
            )
            return Diagnosis(at=context.finding.pair.expected_name, kind="missing_all_reduce", detail=detail)
    return None
