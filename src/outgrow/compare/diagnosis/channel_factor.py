"""A factor for each channel."""

__all__ = ["diagnose"]

import torch

from outgrow.compare.diagnosis.context import Context, as_double, explains
from outgrow.compare.diagnosis.diagnosis import Diagnosis
from outgrow.compare.diagnosis.fit import are_all_different, fit_factors


def diagnose(context: Context) -> Diagnosis | None:
    """Each channel of the last dim has its own factor, the same in all rows: the weight of a norm."""
    fit = fit_factors(context, 1)
    if fit is None or not explains(fit.left, context.error, context.allowed):
        return None
    if not are_all_different(fit):
        return None
    low, high = float(fit.values.min()), float(fit.values.max())
    detail = (
        f"each of the {len(fit.values)} channels has a factor of its own, from {low:.4g} to {high:.4g}, in"
        f" all rows; that leaves a relative error of {fit.left:.2g}"
    )
    named = _find_weight(context, fit.values, fit.left)
    return Diagnosis(
        at=context.finding.pair.expected_name, kind="channel_factor", detail=detail + (named or "")
    )


def _find_weight(context: Context, factors: torch.Tensor, left: float) -> str | None:
    """A recorded parameter that makes these factors."""
    for finding in context.before:
        if finding.pair.expected.kind != "parameters" or finding.pair.expected.shape != factors.shape:
            continue
        weight = as_double(context.read(finding)[1])
        for formula, values in {"w": weight, "1/w": 1 / weight, "(1 + w)/w": (1 + weight) / weight,
                                "w/(1 + w)": weight / (1 + weight)}.items():  # fmt: skip
            if float((values - factors).norm() / factors.norm()) <= max(3 * left, context.allowed):
                return f"; they are {formula} with w = {finding.pair.expected_name}"
    return None
