"""Each data set in turn is the unseen one: what is learned or fixed beforehand comes from the others."""

__all__ = ["REFERENCES", "SEEDS", "SHIPPED_WITHOUT", "STEPS", "compare_all", "ship"]

import hashlib
import random
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.evolve_decisions.comparison import UNIFORM, compare
from bench.evolve_decisions.deciders import (
    best_schedule,
    choices_of_greedy,
    choices_of_network,
    choices_of_schedule,
    learn,
)
from outgrow.evolve.environment import DecisionTable
from outgrow.evolve.policies.attention_file import save_network

STEPS = 800
"""Updates of the network."""
SEEDS = (0, 1)
"""Of the training of the network; the first is the shipped one's."""
REFERENCES = (UNIFORM, "fixed schedule", "fixed schedule for this start", "greedy, whole forks")
"""Policies to which every other one is compared task by task."""
SHIPPED_WITHOUT = "mnist"
"""The data set that the shipped policy was not trained on."""


def compare_all(
    tables: Mapping[str, DecisionTable], *, steps: int, replays: int, draws: int, seeds: Sequence[int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Means of each policy over all tasks, and the figures of each task.

    Of the learned policy there is one for each training seed: `learned 0` and so on.
    """
    samples = []
    for unseen in sorted({table.data for table in tables.values()}):
        others = [table for table in tables.values() if table.data != unseen] or list(tables.values())
        networks = [learn(others, seed=seed, steps=steps) for seed in seeds]
        schedule = best_schedule(others)
        for table in tables.values():
            if table.data != unseen:
                continue
            alike = [other for other in others if _start(other) == _start(table)] or others
            informed = best_schedule(alike)
            policies = {
                "no-op": choices_of_schedule(table, "0" * table.depth),
                "fixed schedule": choices_of_schedule(table, schedule),
                "fixed schedule for this start": choices_of_schedule(table, informed),
                "greedy, whole forks": choices_of_greedy(table, "validation"),
                "greedy, quarter forks": choices_of_greedy(table, "probe"),
                **{
                    f"learned {seed}": choices_of_network(table, network)
                    for seed, network in zip(seeds, networks, strict=True)
                },
            }
            found = compare(table, policies, replays=replays, draws=draws)
            samples.append({**found, "schedule": schedule, "schedule_for_this_start": informed})
    return _summary(samples), samples


def ship(path: Path, tables: Mapping[str, DecisionTable], target: Path, steps: int = STEPS) -> Path:
    """Train the policy that comes with outgrow and write it; the same table gives the same bytes."""
    own = [table for table in tables.values() if table.data != SHIPPED_WITHOUT]
    network = learn(own, seed=SEEDS[0], steps=steps)
    about = {
        "table": hashlib.sha256(path.read_bytes()).hexdigest(),
        "trained_on": sorted({table.task for table in own}),
        "seed": SEEDS[0],
        "steps": steps,
    }
    save_network(network, target, about)
    return target


def _start(table: DecisionTable) -> str:
    return table.task.rpartition("-")[2]


def _summary(samples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Means over tasks of the regret's share of uniform's, so that a task of large losses counts no more.

    `low` and `high` are the percentiles of bootstraps over tasks. `minus` holds the same for the difference
    to other policies, task by task: what is below 0 is less regret than theirs.
    """
    rows = []
    for name in samples[0]["policies"]:
        row: dict[str, Any] = {"policy": name}
        for split in ("validation", "test"):
            row[split] = statistics.fmean(sample["policies"][name][split] for sample in samples)
            figure = f"{split}_share_of_uniform"
            own = [sample["policies"][name][figure] for sample in samples]
            row[figure] = statistics.fmean(own)
            row[f"{split}_low_share_of_uniform"], row[f"{split}_high_share_of_uniform"] = _interval(own)
            row[f"{split}_minus"] = {}
            for other in REFERENCES:
                less = [
                    mine - sample["policies"][other][figure]
                    for mine, sample in zip(own, samples, strict=True)
                ]
                low, high = _interval(less)
                row[f"{split}_minus"][other] = {"mean": statistics.fmean(less), "low": low, "high": high}
        rows.append(row)
    return rows


def _interval(values: Sequence[float], draws: int = 4000) -> tuple[float, float]:
    generator = random.Random(0)
    means = sorted(statistics.fmean(generator.choices(values, k=len(values))) for _ in range(draws))
    return means[int(0.025 * draws)], means[int(0.975 * draws)]
