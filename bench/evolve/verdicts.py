"""What the runs say about the gates: each with what was asked and what was measured."""

__all__ = ["compare", "verdicts"]

import itertools
import math
from collections.abc import Collection, Sequence

from bench.evolve.arms import FIXED, SWEEP
from bench.evolve.ledger import Ledger
from bench.evolve.statistics import paired
from bench.evolve.table import Row, rows_of

MARGIN = 0.25
"""Points of accuracy."""


def compare(ledger: Ledger, actual: str, expected: str, budget: float, kind: str, split: str) -> Row | None:
    """`actual - expected` over the seeds that both have; `None` where those are fewer than two."""
    one = {row["key"]["seed"]: row[split][kind] for row in rows_of(ledger, actual, budget)}
    other = {row["key"]["seed"]: row[split][kind] for row in rows_of(ledger, expected, budget)}
    seeds = sorted(one.keys() & other.keys())
    if len(seeds) < 2:
        return None
    return {
        "actual": actual,
        "expected": expected,
        "budget": budget,
        "figure": f"{split} {kind}",
        **paired([one[seed] for seed in seeds], [other[seed] for seed in seeds]),
    }


def best(rows: Sequence[Row], arms: Collection[str], budget: float, split: str) -> str | None:
    """The arm with the best mean accuracy at a budget; chosen on `validation` it owes no luck to the test."""
    found = [row for row in rows if row["n"] and row["arm"] in arms and row["budget"] == budget]
    if not found:
        return None
    return str(max(found, key=lambda row: row[f"{split}_accuracy"]["mean"])["arm"])


def verdicts(ledger: Ledger, rows: Sequence[Row]) -> list[Row]:
    """The three gates, and the other arms against the envelope; `rows` are those of `table`."""
    rows = [row for row in rows if row["n"]]
    return [
        *_gate_a(ledger),
        *_gate_b(ledger, rows),
        *_gate_c(ledger, rows),
        *_others(ledger, rows),
        *_at_equal_seconds(rows),
    ]


def _gate_a(ledger: Ledger) -> list[Row]:
    found = compare(ledger, "grow 16.32.64 split", "grow 16.32.64 zero-outgoing", 1.0, "ce", "test")
    if found is None:
        return []
    more = [
        compare(ledger, "grow 16.32.64 split", "grow 16.32.64 zero-outgoing", 1.0, *what)
        for what in (("ce", "validation"), ("accuracy", "test"))
    ]
    return [
        {
            "what": "gate A",
            "asked": "test CE of split lower than that of zero-outgoing by >= .006, p < .01",
            "reached": found["mean"] <= -0.006 and found["p"] < 0.01,
            "comparison": found,
            "also": more,
        }
    ]


def _gate_b(ledger: Ledger, rows: Sequence[Row]) -> list[Row]:
    judged = []
    for split in ("validation", "test"):
        rival = best(rows, FIXED, 1.0, split)
        found = rival and compare(ledger, "grow 8.16.64", rival, 1.0, "accuracy", "test")
        if found:
            judged.append(
                {
                    "what": "gate B",
                    "asked": f"lower 95 % bound of accuracy against the envelope >= -{MARGIN}",
                    "envelope_chosen_on": split,
                    "reached": found["low"] >= -MARGIN,
                    "comparison": found,
                }
            )
    return judged


def _gate_c(ledger: Ledger, rows: Sequence[Row]) -> list[Row]:
    judged = []
    for budget in (0.5, 1.0, 2.0, 4.0):
        for split in ("validation", "test"):
            rival = best(rows, SWEEP, budget, split)
            found = rival and compare(ledger, "cooldown", rival, budget, "accuracy", "test")
            if found:
                judged.append(
                    {
                        "what": "gate C",
                        "asked": f"accuracy within {MARGIN} points of the best fixed width",
                        "best_width_chosen_on": split,
                        "reached": found["mean"] >= -MARGIN,
                        "lower_bound_reached": found["low"] >= -MARGIN,
                        "comparison": found,
                    }
                )
    return [*judged, *_costs(ledger, rows)]


def _costs(ledger: Ledger, rows: Sequence[Row]) -> list[Row]:
    """Multiply-adds and seconds of the growing run, as shares of one seed of the sweep that was run here."""
    own = ledger.find(arm="cooldown", split="final")
    if not own:
        return []
    mine = {name: sum(row[name] for row in own) / len(own) for name in ("macs", "cpu_seconds")}
    swept = [row for row in rows if row["arm"] in SWEEP]
    theirs = {name: sum(row[name] for row in swept) for name in mine}
    tuned = [row for row in ledger.find(split="tune") if row["key"]["arm"] in SWEEP]
    ours = ledger.find(split="tune", arm="cooldown")
    return [
        {
            "what": "gate C, cost",
            "asked": "<= 40 % of the FLOPs of the sweep",
            "reached": mine["macs"] <= 0.4 * theirs["macs"],
            **{f"share_of_{name}": mine[name] / theirs[name] for name in mine},
            "share_with_tuning": (mine["macs"] + sum(row["macs"] for row in ours))
            / (theirs["macs"] + sum(row["macs"] for row in tuned)),
            "sweep": [[row["arm"], row["budget"]] for row in swept],
            # Computed, not run: whoever sweeps could let each width cool down from one trunk, too.
            "share_of_three_widths_with_cooldowns": 1 / 3,
        }
    ]


def _others(ledger: Ledger, rows: Sequence[Row]) -> list[Row]:
    judged = []
    for row in rows:
        arm, budget = row["arm"], row["budget"]
        if arm in FIXED or arm.startswith("mlp"):
            continue
        rival = best(rows, FIXED, budget, "validation")
        for kind in ("accuracy", "ce"):
            found = rival and compare(ledger, arm, rival, budget, kind, "test")
            if found:
                judged.append({"what": "against the envelope", "comparison": found})
    for rival in ("mlp fixed 8", "mlp fixed 16", "mlp fixed 32", "mlp evolve 8 to 32"):
        for kind in ("accuracy", "ce"):
            found = compare(ledger, "mlp gromo 8 to 32", rival, 1.0, kind, "test")
            if found:
                judged.append({"what": "gromo", "comparison": found})
    return judged


def _at_equal_seconds(rows: Sequence[Row]) -> list[Row]:
    """Mean accuracy of every other arm less that of the best fixed shape for as many CPU seconds.

    Between the budgets of a shape its accuracy is taken as linear in the logarithm of its seconds.
    """
    whole = [row for row in rows if row.get("quiet_seconds")]
    judged = []
    for row in whole:
        if row["arm"] in FIXED:
            continue
        rivals = {}
        for arm in FIXED:
            points = [
                (math.log(one["quiet_seconds"]), one["test_accuracy"]["mean"])
                for one in whole
                if one["arm"] == arm
            ]
            found = _interpolated(points, math.log(row["quiet_seconds"]))
            if found is not None:
                rivals[arm] = found
        if rivals:
            rival = max(rivals, key=rivals.__getitem__)
            judged.append(
                {
                    "what": "at equal seconds",
                    "arm": row["arm"],
                    "budget": row["budget"],
                    "quiet_seconds": row["quiet_seconds"],
                    "best_fixed": rival,
                    "difference": row["test_accuracy"]["mean"] - rivals[rival],
                }
            )
    return judged


def _interpolated(points: Sequence[tuple[float, float]], at: float) -> float | None:
    """Linear between neighbours; the last value beyond it, since who has finished may wait; `None` before."""
    ordered = sorted(points)
    if ordered and at >= ordered[-1][0]:
        return ordered[-1][1]
    for (left, low), (right, high) in itertools.pairwise(ordered):
        if left <= at <= right:
            return low + (high - low) * (at - left) / (right - left)
    return None
