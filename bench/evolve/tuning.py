"""The learning rate of an arm, chosen on validation: three rates, more at an edge, the best two twice."""

__all__ = ["chosen_rate", "next_rate"]

from collections.abc import Sequence
from typing import Any


def next_rate(
    rows: Sequence[dict[str, Any]], rates: Sequence[float], seeds: Sequence[int], most: int = 7
) -> tuple[float, int] | None:
    """The next (rate, seed) that has to be run, given the runs there are; `None` when the choice is made.

    The first seed tries all `rates` and goes on by factors of two while the best one is at an edge and there
    are fewer than `most`; the other seeds run the best two.
    """
    first = _losses(rows, seeds[0])
    for rate in rates:
        if rate not in first:
            return rate, seeds[0]
    best = min(first, key=first.__getitem__)
    if best == max(first) and len(first) < most:
        return best * 2, seeds[0]
    if best == min(first) and len(first) < most:
        return best / 2, seeds[0]
    for rate in sorted(first, key=first.__getitem__)[:2]:
        for seed in seeds[1:]:
            if rate not in _losses(rows, seed):
                return rate, seed
    return None


def chosen_rate(rows: Sequence[dict[str, Any]], seeds: Sequence[int]) -> float:
    """The rate with the lowest mean validation cross-entropy among those that ran with every seed.

    Raises:
        ValueError: none did.
    """
    losses = [_losses(rows, seed) for seed in seeds]
    rates = set(losses[0]).intersection(*losses[1:])
    if not rates:
        raise ValueError("no rate was run with every seed of the tuning")
    return min(rates, key=lambda rate: (sum(one[rate] for one in losses), rate))


def _losses(rows: Sequence[dict[str, Any]], seed: int) -> dict[float, float]:
    return {row["key"]["lr"]: row["validation"]["ce"] for row in rows if row["key"]["seed"] == seed}
