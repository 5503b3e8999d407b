"""A number added to each channel."""

__all__ = ["diagnose"]

from torch import Tensor

from outgrow.compare.diagnosis.context import Context, as_double, explains
from outgrow.compare.diagnosis.diagnosis import Diagnosis
from outgrow.compare.diagnosis.fit import fit_offsets


def diagnose(context: Context) -> Diagnosis | None:
    """The difference is the same in every row: a bias that is missing or added twice."""
    fit = fit_offsets(context, 1)
    if fit is None or not explains(fit.left, context.error, context.allowed):
        return None
    low, high = float(fit.values.min()), float(fit.values.max())
    detail = (
        f"the difference is the same in every row, from {low:.4g} to {high:.4g} by channel; without it a"
        f" relative error of {fit.left:.2g} is left{_find_bias(context, fit.values, fit.left)}"
    )
    return Diagnosis(at=context.finding.pair.expected_name, kind="channel_offset", detail=detail)


def _find_bias(context: Context, offsets: Tensor, left: float) -> str:
    """The recorded parameter that was left out or added."""
    scale = context.expected_window.norm() / context.expected_window.numel() ** 0.5
    for finding in context.before:
        if finding.pair.expected.kind != "parameters" or finding.pair.expected.shape != offsets.shape:
            continue
        bias = as_double(context.read(finding)[1])
        for word, values in {"missing": -bias, "added once too often": bias}.items():
            distance = float((values - offsets).norm() / (scale * len(offsets) ** 0.5))
            if distance <= max(3 * left, context.allowed) and values.any():
                return f"; {finding.pair.expected_name} is {word}"
    return ""
