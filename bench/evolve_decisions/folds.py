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
from outgrow.evolve.policies.attention_file import load_network, read_about, save_network
from outgrow.evolve.policies.attention_network import AttentionPolicyNetwork
from outgrow.evolve.policies.environment import DecisionTable

STEPS = 800
"""Updates of the network."""
SEEDS = (0,)
"""Of the training of the network; the first is the shipped one's."""
REFERENCES = (UNIFORM, "fixed schedule", "fixed schedule for this start", "greedy, whole forks")
"""Policies to which every other one is compared task by task."""
SHIPPED_WITHOUT = "mnist"
"""The data set that the shipped policy was not trained on."""


def compare_all(
    path: Path,
    tables: Mapping[str, DecisionTable],
    *,
    steps: int,
    replays: int,
    draws: int,
    seeds: Sequence[int],
    folder: Path | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Means of each policy over all tasks, and the figures of each task.

    Of the learned policy there is one for each training seed: `learned 0` and so on. `folder` keeps what was
    trained, so that a comparison that was stopped goes on.
    """
    samples = []
    for unseen in sorted({table.data for table in tables.values()}):
        others = [table for table in tables.values() if table.data != unseen] or list(tables.values())
        networks = [_learned(path, others, unseen, seed, steps, folder) for seed in seeds]
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


def ship(
    path: Path, tables: Mapping[str, DecisionTable], target: Path, *, unseen: str = SHIPPED_WITHOUT
) -> Path:
    """Train the policy that comes with outgrow and write it; the same table gives the same bytes."""
    own = [table for table in tables.values() if table.data != unseen]
    network = learn(own, seed=SEEDS[0], steps=STEPS)
    save_network(network, target, _about(path, own, SEEDS[0], STEPS))
    return target


def _about(path: Path, own: Sequence[DecisionTable], seed: int, steps: int) -> dict[str, Any]:
    return {
        "table": hashlib.sha256(path.read_bytes()).hexdigest(),
        "trained_on": sorted({table.task for table in own}),
        "seed": seed,
        "steps": steps,
    }


def _learned(
    path: Path, own: Sequence[DecisionTable], unseen: str, seed: int, steps: int, folder: Path | None
) -> AttentionPolicyNetwork:
    """A network of this table, these tasks and this seed: from `folder` where it is there, else trained."""
    about = _about(path, own, seed, steps)
    kept = None if folder is None else folder / f"without-{unseen}-{seed}.safetensors"
    if kept is not None and kept.exists() and read_about(kept)["about"] == about:
        return load_network(kept)
    network = learn(own, seed=seed, steps=steps)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_network(network, kept, about)
    return network


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
