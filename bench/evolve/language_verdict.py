"""How many FLOPs growing saves on the way to the loss of the large model."""

__all__ = ["savings", "spent_for"]

import itertools
import math
from collections.abc import Sequence
from typing import Any

from bench.evolve.ledger import Ledger
from bench.evolve.statistics import mean_interval


def spent_for(loss: float, points: Sequence[tuple[float, float]]) -> float | None:
    """Multiply-adds at which a series of `(multiply-adds, final loss)` comes down to `loss`.

    Between two budgets the loss is taken as linear in the logarithm of what was spent; `None` outside.
    """
    ordered = sorted(points)
    for (left, high), (right, low) in itertools.pairwise(ordered):
        if low <= loss <= high:
            share = (high - loss) / (high - low) if high > low else 0.0
            return math.exp(math.log(left) + share * (math.log(right) - math.log(left)))
    return None


def savings(ledger: Ledger, grown: str, large: str) -> list[dict[str, Any]]:
    """For each seed the share of the large model's multiply-adds that growing saves, and the mean of all."""
    rows = []
    for row in ledger.find(arm=large, budget=1.0, split="final"):
        mine = ledger.find(arm=grown, seed=row["key"]["seed"], split="final")
        points = [(one["macs"], one["validation"]["ce"]) for one in mine]
        spent = spent_for(row["validation"]["ce"], points)
        rows.append(
            {
                "what": "saved",
                "seed": row["key"]["seed"],
                "loss": row["validation"]["ce"],
                "grown": points,
                "spent": spent,
                "saved": None if spent is None else 1 - spent / row["macs"],
            }
        )
    known = [row["saved"] for row in rows if row["saved"] is not None]
    if known:
        rows.append({"what": "saved, all seeds", "seeds": len(rows), **mean_interval(known)})
    return rows
