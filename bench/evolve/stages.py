"""In which order the runs of the curves are made: what decides first comes first."""

__all__ = ["FINAL_SEEDS", "next_fixed"]

from collections.abc import Iterator, Sequence

from bench.evolve.arms import TUNE_BUDGET
from bench.evolve.ledger import Key, Ledger
from bench.evolve.tuning import chosen_rate, next_rate

FINAL_SEEDS = (100, 101, 102, 103, 104)
STAGES: tuple[tuple[float, tuple[str, ...]], ...] = (
    (1.0, ("fixed 16.32.64", "fixed 8.16.32", "fixed 8.16.64", "fixed 8.32.64", "fixed 32.64.128")),
    (0.5, ("fixed 8.16.32", "fixed 16.32.64", "fixed 8.16.64", "fixed 8.32.64", "fixed 32.64.128")),
    (4.0, ("fixed 16.32.64", "fixed 32.64.128")),
    (2.0, ("fixed 16.32.64", "fixed 8.16.32", "fixed 32.64.128")),
    (1.0, ("fixed 64.128.256",)),
    (0.5, ("fixed 4.8.16",)),
    (4.0, ("fixed 8.32.64", "fixed 8.16.32")),
    (2.0, ("fixed 8.32.64", "fixed 8.16.64")),
)
"""Budgets and the arms at them, in order; an arm is tuned before its first run."""


def tune_rows(ledger: Ledger, arm: str) -> list[dict]:
    """The tuning runs of an arm, at the one budget where its rate is chosen."""
    return ledger.find(arm=arm, split="tune", budget=TUNE_BUDGET.get(arm, 1.0))


def next_fixed(
    ledger: Ledger, seeds: Sequence[int] = FINAL_SEEDS, stages: Sequence[tuple[float, Sequence[str]]] = STAGES
) -> Iterator[Key]:
    """Keys to run, one after the other; each must be in the ledger before the next is asked for."""
    for budget, arms in stages:
        for arm in arms:
            while (wanted := next_rate(tune_rows(ledger, arm))) is not None:
                rate, seed = wanted
                yield Key(arm=arm, budget=TUNE_BUDGET.get(arm, 1.0), lr=rate, seed=seed, split="tune")
        for seed in seeds:
            for arm in arms:
                key = Key(
                    arm=arm, budget=budget, lr=chosen_rate(tune_rows(ledger, arm)), seed=seed, split="final"
                )
                if key not in ledger:
                    yield key
