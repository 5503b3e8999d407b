"""A tensor that was not added, or twice."""

__all__ = ["diagnose"]

from outgrow.compare.diagnosis.constant_factor import factor_between
from outgrow.compare.diagnosis.context import Context, explains
from outgrow.compare.diagnosis.diagnosis import Diagnosis
from outgrow.compare.diagnosis.neighbours import earlier_tensors


def diagnose(context: Context) -> Diagnosis | None:
    """The difference is a multiple of a tensor that came before: a residual that was left out."""
    expected = context.expected_window
    distance = context.actual_window - expected
    if not expected.any():
        return None
    for finding, _, term in earlier_tensors(context):
        factor = factor_between(distance, term)
        if factor is None:
            continue
        left = float((distance - factor * term).norm() / expected.norm())
        if not explains(left, context.error, context.allowed):
            continue
        alike = factor_between(term, expected)
        if alike and float((term - alike * expected).norm() / expected.norm()) <= 4 * context.allowed * abs(
            alike
        ):
            continue  # the term is the tensor itself: that is a factor, not an addition
        name = finding.pair.expected_name
        if abs(factor + 1) <= 0.01:
            what = f"{name} is missing from the sum"
        elif abs(factor - 1) <= 0.01:
            what = f"{name} was added once too often"
        else:
            what = f"{factor:.4g} times {name} was added too much"
        detail = f"{what}; with that put right a relative error of {left:.2g} is left of {context.error:.2g}"
        return Diagnosis(at=context.finding.pair.expected_name, kind="missing_term", detail=detail)
    return None
