"""Regret of the policies on a table, over many replays, with intervals."""

__all__ = ["BEST_OF_FOUR", "UNIFORM", "compare"]

import functools
import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.evolve_decisions.deciders import Choices
from outgrow.evolve.policies.environment import DecisionTable

UNIFORM = "uniform"
"""The policy that chooses evenly among what can be done; everybody is measured by it."""
BEST_OF_FOUR = "best of 4 uniform runs"
"""Four such runs, of which the one with the least loss on validation is kept."""


def compare(
    table: DecisionTable, policies: Mapping[str, Choices], *, replays: int, draws: int, seed: int = 0
) -> dict[str, Any]:
    """Mean regret of each policy in nats, on validation and on test.

    A replay draws one of the table's seeds for each decision: what the policy sees is the figures of that
    seed, and what it arrives at is judged by the mean over all seeds, against the best run by that mean. So a
    policy is not paid for choosing the luck of one seed. `low` and `high` are the 2.5 and 97.5 percentiles
    of `draws` bootstraps over seeds, everything done again with the drawn ones. `own` is the mean regret
    where a replay stays with one seed and is judged by it. The best of four uniform runs, chosen on
    validation, is what the FLOPs of trying everything would buy without any policy.
    """
    generator = random.Random(seed)
    everyone: dict[str, Choices | int] = {UNIFORM: 1, BEST_OF_FOUR: 4, **policies}
    rows = range(len(table.seeds))
    few = max(20, replays // 10)
    summary: dict[str, Any] = {}
    for split in ("validation", "test"):
        losses = [{path: one[path][split] for path in table.ends()} for one in table.seeds]
        for name, policy in everyone.items():
            mean = functools.partial(_mean, table, losses, policy, generator)
            resampled = sorted(mean(generator.choices(rows, k=len(rows)), few) for _ in range(draws))
            found = summary.setdefault(name, {})
            found[split] = mean(rows, replays)
            found[f"{split}_low"] = resampled[int(0.025 * draws)]
            found[f"{split}_high"] = resampled[min(draws - 1, int(0.975 * draws))]
            found[f"{split}_own"] = statistics.fmean(mean([row], few) for row in rows)
    for name in everyone:
        for split in ("validation", "test"):
            summary[name][f"{split}_share_of_uniform"] = summary[name][split] / summary[UNIFORM][split]
    return {
        "task": table.task,
        "data": table.data,
        "seeds": len(table.seeds),
        "runs": len(table.ends()),
        "optimum": table.optimum(),
        "loss_of_optimum": table.loss(table.optimum()),
        "loss_of_none": table.loss("0" * table.depth),
        "policies": summary,
    }


def _mean(
    table: DecisionTable,
    losses: Sequence[Mapping[str, float]],
    policy: Choices | int,
    generator: random.Random,
    rows: Sequence[int],
    replays: int,
) -> float:
    mean = {path: statistics.fmean(losses[row][path] for row in rows) for path in losses[0]}
    best = min(mean.values())
    total = 0.0
    for _ in range(replays):
        if isinstance(policy, int):
            row = generator.choice(rows)
            runs = [_walk(table, None, rows, generator) for _ in range(policy)]
            path = min(runs, key=lambda run: table.seeds[row][run]["validation"])
        else:
            path = _walk(table, policy, rows, generator)
        total += mean[path] - best
    return total / replays


def _walk(
    table: DecisionTable, choices: Choices | None, rows: Sequence[int], generator: random.Random
) -> str:
    path = ""
    while len(path) < table.depth:
        if choices is None:
            path += str(generator.choice(table.following(path)))
        else:
            path += str(choices[generator.choice(rows)][path])
    return path
