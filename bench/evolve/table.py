"""The finished final runs as one row for each arm and budget."""

__all__ = ["Row", "rows_of", "table"]

import statistics
from collections.abc import Sequence
from typing import Any

from bench.evolve.ledger import Ledger
from bench.evolve.stages import FIRST_SEED, STAGES, Stage
from bench.evolve.statistics import mean_interval

Row = dict[str, Any]


def rows_of(ledger: Ledger, arm: str, budget: float) -> list[Row]:
    """The final runs of an arm at a budget, by seed; those of a cooldown are its branches."""
    rows = ledger.find(arm=arm, budget=budget, split="final")
    if rows:
        return [_branch(row, budget) if "branches" in row else row for row in rows]
    larger = [row for row in ledger.find(arm=arm, split="final") if f"{budget:g}" in row.get("branches", {})]
    return [_branch(row, budget) for row in larger]


def _branch(row: Row, budget: float) -> Row:
    return {"key": row["key"], **row["branches"][f"{budget:g}"]}


def table(ledger: Ledger, stages: Sequence[Stage] = STAGES) -> list[Row]:
    """Means with 95 % intervals; `wanted` above `n` says that runs are missing."""
    wanted: dict[tuple[str, float], int] = {}
    for stage in stages:
        for arm in stage.arms:
            wanted[arm, stage.budget] = max(stage.seeds, wanted.get((arm, stage.budget), 0))
    for stage in stages:
        for arm in stage.arms:
            for row in ledger.find(arm=arm, split="final"):
                for budget in row.get("branches", {}):
                    wanted.setdefault((arm, float(budget)), stage.seeds)
    found = []
    for (arm, budget), seeds in sorted(wanted.items(), key=lambda item: (item[0][1], item[0][0])):
        rows = [row for row in rows_of(ledger, arm, budget) if row["key"]["seed"] < FIRST_SEED + seeds]
        if not rows:
            found.append({"what": "arm", "arm": arm, "budget": budget, "n": 0, "wanted": seeds})
            continue
        found.append(
            {
                "what": "arm",
                "arm": arm,
                "budget": budget,
                "n": len(rows),
                "wanted": seeds,
                "lr": rows[0]["key"]["lr"],
                "parameters": statistics.fmean(row["parameters"] for row in rows),
                "macs": statistics.fmean(row["macs"] for row in rows),
                "epochs": statistics.fmean(row["epochs"] for row in rows),
                "cpu_seconds": statistics.median(row["cpu_seconds"] for row in rows),
                "train_ce": mean_interval([row["train"]["ce"] for row in rows]),
                "validation_ce": mean_interval([row["validation"]["ce"] for row in rows]),
                "validation_accuracy": mean_interval([row["validation"]["accuracy"] for row in rows]),
                "test_ce": mean_interval([row["test"]["ce"] for row in rows]),
                "test_accuracy": mean_interval([row["test"]["accuracy"] for row in rows]),
            }
        )
    return found
