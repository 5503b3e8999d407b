"""From samples to figures: pure arithmetic on the records that a measured run leaves."""

__all__ = [
    "anon_excess_bytes",
    "equal_steps",
    "failure",
    "floor_seconds",
    "ideal_bytes_per_token",
    "inflight_bytes_per_second",
    "overhead_bytes",
    "spread",
    "streamed_bytes_per_token",
    "token_seconds",
]

import statistics
from collections.abc import Sequence
from typing import Any

Sample = dict[str, Any]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """All samples with their median, least, greatest and quartile distance."""
    if not values:
        return {"samples": [], "median": None, "min": None, "max": None, "iqr": None}
    quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return {
        "samples": list(values),
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "iqr": quartiles[2] - quartiles[0],
    }


def failure(sample: Sample) -> str | None:
    """Why this run gave no figures, in one line; None where it did."""
    if "error" in sample:
        error = sample["error"]
        return (
            f"{error['type']} in {error['phase']}: {error['text'].splitlines()[0] if error['text'] else ''}"
        )
    return None


def token_seconds(sample: Sample) -> float:
    """Wall seconds per decoded token: the mean, because reads run ahead of the steps they are for."""
    return statistics.fmean(sample["decode_step_seconds"])


def streamed_bytes_per_token(sample: Sample) -> float:
    """Bytes that decoding one token made the disk read."""
    return (sample["decode"]["disk_bytes"] or 0) / len(sample["decode_step_seconds"])


def inflight_bytes_per_second(sample: Sample) -> float | None:
    """What the disk gave while decoding read from it, by the system's own count; None without one."""
    try:
        before, after = sample["statistics_prefill"], sample["statistics"]
        seconds = after["disk_busy_seconds"] - before["disk_busy_seconds"]
        return (after["bytes_read"] - before["bytes_read"]) / seconds if seconds > 0 else None
    except (KeyError, TypeError):
        return None


def ideal_bytes_per_token(weights_bytes: int, embedding_bytes: int, budget_bytes: int) -> int:
    """Least bytes any scheme must read for one token: weights without embedding, less the budget."""
    return max(0, weights_bytes - embedding_bytes - budget_bytes)


def floor_seconds(compute_seconds: float, bytes_per_token: float, bytes_per_second: float) -> float:
    """No token can be faster: it is computed, and its weights are read, at best at the same time."""
    return max(compute_seconds, bytes_per_token / bytes_per_second)


def overhead_bytes(resident: Sample) -> int:
    """Anonymous memory without a model: imports, and what a pass allocates besides weights."""
    passes = [phase["peak_anon_bytes"] for phase in (*resident["prefills"], resident["decode"])]
    return int(resident["anon_imported_bytes"] + max(passes) - resident["anon_open_bytes"])


def anon_excess_bytes(sample: Sample, without_model_bytes: int) -> int:
    """Peak anonymous memory beyond the process without a model and the budget; may be negative."""
    phases = (sample["open"], *sample["prefills"], sample["decode"])
    peak = max(phase["peak_anon_bytes"] for phase in phases)
    return int(peak - without_model_bytes - sample["spec"]["budget_bytes"])


def equal_steps(sample: Sample, reference: Sample) -> tuple[int, int]:
    """How many logits (prefill's last, then each step) have the reference's bits, and of how many."""
    pairs = list(zip(sample["logits_sha256"], reference["logits_sha256"], strict=False))
    return sum(one == other for one, other in pairs), len(pairs)
