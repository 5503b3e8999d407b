"""A number added to each row."""

__all__ = ["diagnose"]

from outgrow.compare.diagnosis.context import Context, explains
from outgrow.compare.diagnosis.diagnosis import Diagnosis
from outgrow.compare.diagnosis.fit import fit_offsets


def diagnose(context: Context) -> Diagnosis | None:
    """Each row is moved as a whole by its own number: a mean that was not subtracted."""
    fit = fit_offsets(context, 0)
    if fit is None or not explains(fit.left, context.error, context.allowed):
        return None
    low, high = float(fit.values.min()), float(fit.values.max())
    scale = float(context.expected_window.norm()) / context.expected_window.numel() ** 0.5
    if high - low <= 6 * fit.left * scale:
        return None
    detail = (
        f"each row is moved as a whole, by {low:.4g} to {high:.4g}; without that a relative error of"
        f" {fit.left:.2g} is left"
    )
    return Diagnosis(at=context.finding.pair.expected_name, kind="row_offset", detail=detail)
