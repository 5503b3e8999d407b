"""A factor for each row."""

__all__ = ["diagnose"]

from outgrow.compare.diagnosis.context import Context, explains
from outgrow.compare.diagnosis.diagnosis import Diagnosis
from outgrow.compare.diagnosis.fit import are_all_different, fit_factors


def diagnose(context: Context) -> Diagnosis | None:
    """Each row has its own factor, the same in all channels: how a norm divides."""
    fit = fit_factors(context, 0)
    if fit is None or not explains(fit.left, context.error, context.allowed):
        return None
    if not are_all_different(fit):
        return None
    low, high = float(fit.values.min()), float(fit.values.max())
    detail = (
        f"each of {len(fit.values):,} rows has a factor of its own, from {low:.6g} to {high:.6g}, in all"
        f" channels; that leaves a relative error of {fit.left:.2g}"
    )
    return Diagnosis(at=context.finding.pair.expected_name, kind="row_factor", detail=detail)
