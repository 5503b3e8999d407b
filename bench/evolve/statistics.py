"""Paired comparisons over seeds, with intervals."""

__all__ = ["mean_interval", "paired", "unpaired"]

import itertools
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

_EXACT_UP_TO = 14


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> dict[str, Any]:
    """Mean, deviation and t interval of one arm over its seeds; no interval from fewer than two."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return {"n": len(values), "mean": mean, "deviation": None, "low": None, "high": None}
    deviation = statistics.stdev(values)
    half = float(stats.t.ppf(0.5 + confidence / 2, len(values) - 1)) * deviation / len(values) ** 0.5
    return {"n": len(values), "mean": mean, "deviation": deviation, "low": mean - half, "high": mean + half}


def paired(actual: Sequence[float], expected: Sequence[float]) -> dict[str, Any]:
    """`actual - expected` seed by seed: mean, 95 % interval, two-sided p of the t test and of all sign flips.

    Raises:
        ValueError: the seeds are not paired, or fewer than two.
    """
    if len(actual) != len(expected) or len(actual) < 2:
        raise ValueError(f"{len(actual)} runs cannot be paired with {len(expected)}")
    differences = [one - other for one, other in zip(actual, expected, strict=True)]
    found = mean_interval(differences)
    is_constant = max(differences) == min(differences)
    t_p = (0.0 if differences[0] else 1.0) if is_constant else float(stats.ttest_1samp(differences, 0).pvalue)
    return {**found, "p": t_p, "p_sign_flips": _sign_flips(differences), "differences": differences}


def unpaired(actual: Sequence[float], expected: Sequence[float]) -> dict[str, Any]:
    """`actual - expected` of arms whose seeds have nothing in common: Welch's interval and p."""
    found = stats.ttest_ind(actual, expected, equal_var=False)
    interval = found.confidence_interval(0.95)
    return {
        "n": [len(actual), len(expected)],
        "mean": statistics.fmean(actual) - statistics.fmean(expected),
        "low": float(interval.low),
        "high": float(interval.high),
        "p": float(found.pvalue),
    }


def _sign_flips(differences: Sequence[float]) -> float | None:
    """Two-sided p of the mean under all sign flips, whatever the distribution; `None` for too many."""
    if len(differences) > _EXACT_UP_TO:
        return None
    values = np.asarray(differences)
    signs = np.array(list(itertools.product((1, -1), repeat=len(values))))
    means = np.abs(signs @ values)
    return float((means >= abs(values.sum()) * (1 - 1e-12)).mean())
