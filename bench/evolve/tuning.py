"""The learning rate of an arm, chosen on validation: three rates, more at an edge, the best two twice."""

__all__ = ["RATES", "chosen_rate", "next_rate"]

from collections.abc import Sequence
from typing import Any

RATES = (0.006, 0.012, 0.024)
"""Where the search begins; it goes on by factors of two."""
_SEEDS = (0, 1)


def next_rate(rows: Sequence[dict[str, Any]], rates: Sequence[float] = RATES) -> tuple[float, int] | None:
    """The next (rate, seed) that has to be run, given the runs there are; `None` when the choice is made."""
    first = _losses(rows, _SEEDS[0])
    for rate in rates:
        if rate not in first:
            return rate, _SEEDS[0]
    best = min(first, key=first.__getitem__)
    if best == max(first):
        return best * 2, _SEEDS[0]
    if best == min(first):
        return best / 2, _SEEDS[0]
    second = _losses(rows, _SEEDS[1])
    for rate in sorted(first, key=first.__getitem__)[:2]:
        if rate not in second:
            return rate, _SEEDS[1]
    return None


def chosen_rate(rows: Sequence[dict[str, Any]]) -> float:
    """The rate with the lowest mean validation cross-entropy among those that ran with every seed.

    Raises:
        ValueError: none did.
    """
    both = [_losses(rows, seed) for seed in _SEEDS]
    rates = set(both[0]).intersection(*both[1:])
    if not rates:
        raise ValueError("no rate was run with every seed of the tuning")
    return min(rates, key=lambda rate: sum(losses[rate] for losses in both))


def _losses(rows: Sequence[dict[str, Any]], seed: int) -> dict[float, float]:
    return {row["key"]["lr"]: row["validation"]["ce"] for row in rows if row["key"]["seed"] == seed}
