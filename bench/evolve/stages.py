"""In which order the runs of the curves are made: what decides first comes first."""

__all__ = ["STAGES", "Stage", "chosen", "next_key", "tuning_rows"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.evolve.ledger import Key, Ledger
from bench.evolve.mlp import MLP_ARMS
from bench.evolve.tuning import chosen_rate, next_rate

FIRST_SEED = 100
"""Of the final runs; those of tuning are below."""
_TUNE_BUDGETS = {"fixed 4.8.16": 0.25, "cooldown": 1.0}
"""Where the learning rate is chosen, if not at 1x: these cost far more than the others there."""
_RATES = (0.006, 0.012, 0.024)
_MLP_RATES = (0.001, 0.002, 0.004)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Arms that are run at one budget, seed by seed, each after its learning rate was chosen."""

    arms: tuple[str, ...]
    """Names; all have the same seeds, so that they can be compared in pairs."""
    budget: float = 1.0
    """In units of 1x."""
    seeds: int = 5
    """How many, from `FIRST_SEED` on."""


STAGES: tuple[Stage, ...] = (
    Stage(arms=("fixed 16.32.64", "fixed 8.16.32", "fixed 8.16.64", "fixed 8.32.64", "fixed 32.64.128")),
    Stage(
        budget=0.5,
        arms=("fixed 8.16.32", "fixed 16.32.64", "fixed 8.16.64", "fixed 8.32.64", "fixed 32.64.128"),
    ),
    Stage(budget=4.0, arms=("fixed 16.32.64", "fixed 32.64.128")),
    Stage(budget=2.0, arms=("fixed 16.32.64", "fixed 8.16.32", "fixed 32.64.128")),
    Stage(arms=("fixed 64.128.256",)),
    Stage(budget=0.5, arms=("fixed 4.8.16",)),
    Stage(budget=4.0, arms=("fixed 8.32.64", "fixed 8.16.32")),
    Stage(budget=2.0, arms=("fixed 8.32.64", "fixed 8.16.64")),
)
"""All runs, in order."""


def tuning_rows(ledger: Ledger, arm: str) -> list[dict[str, Any]]:
    """The tuning runs of an arm, at the one budget where its rate is chosen."""
    return ledger.find(arm=arm, split="tune", budget=_TUNE_BUDGETS.get(arm, 1.0))


def chosen(ledger: Ledger, arm: str) -> float:
    """The learning rate of an arm.

    Raises:
        ValueError: its tuning is not done.
    """
    return chosen_rate(tuning_rows(ledger, arm))


def next_key(ledger: Ledger, stages: Sequence[Stage] = STAGES) -> Iterator[Key]:
    """Keys to run, one after the other; each must be in the ledger before the next is asked for."""
    for stage in stages:
        for arm in stage.arms:
            rates = _MLP_RATES if arm in MLP_ARMS else _RATES
            while (wanted := next_rate(tuning_rows(ledger, arm), rates)) is not None:
                rate, seed = wanted
                yield Key(arm=arm, budget=_TUNE_BUDGETS.get(arm, 1.0), lr=rate, seed=seed, split="tune")
        for seed in range(FIRST_SEED, FIRST_SEED + stage.seeds):
            for arm in stage.arms:
                key = Key(arm=arm, budget=stage.budget, lr=chosen(ledger, arm), seed=seed, split="final")
                if key not in ledger:
                    yield key
