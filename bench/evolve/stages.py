"""In which order the runs of the curves are made: what decides first comes first."""

__all__ = ["FIRST_SEED", "STAGES", "Stage", "Tuning", "chosen_only", "next_key"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.evolve.ledger import Key, Ledger
from bench.evolve.tuning import chosen_rate, next_rate

FIRST_SEED = 100
"""Of the final runs; those of tuning are below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How the learning rate of an arm is chosen."""

    rates: tuple[float, ...] = (0.006, 0.012, 0.024)
    """Where the search begins; it goes on by factors of two."""
    budget: float = 1.0
    """Where it is made, in units of 1x."""
    seeds: tuple[int, ...] = (0, 1)
    """Apart from those of the final runs; all but the first run the best two rates alone."""
    most: int = 7
    """Rates that are tried at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Arms that are run at one budget, seed by seed, each after its learning rate was chosen."""

    arms: tuple[str, ...]
    """Names; all have the same seeds, so that they can be compared in pairs."""
    budget: float = 1.0
    """In units of 1x."""
    seeds: int = 5
    """How many, from `FIRST_SEED` on."""
    tuning: Tuning = Tuning()
    """The same in every stage of an arm."""


_HIGH = Tuning(rates=(0.012, 0.024, 0.048))
"""Where the shapes that grow begin: no shape that stays had its best rate below."""
_ONCE = Tuning(rates=(0.012, 0.024, 0.048), seeds=(0,))
_SHORT = Tuning(rates=(0.012, 0.024, 0.048), budget=0.25, seeds=(0,), most=3)
_MLP = Tuning(rates=(0.001, 0.002, 0.004))

_CLOSE = Tuning(rates=(0.012, 0.024, 0.048), seeds=(0, 1, 2))
"""For the two that gate B compares: with two seeds their best two rates were a thousandth of a nat apart."""
_LARGEST = Tuning(rates=(0.024, 0.048), budget=4.0, seeds=(0,), most=2)

STAGES: tuple[Stage, ...] = (
    Stage(arms=("fixed 16.32.64", "fixed 8.16.32", "fixed 8.32.64", "fixed 32.64.128")),
    Stage(arms=("grow 16.32.64 split", "grow 16.32.64 zero-outgoing"), seeds=6, tuning=_HIGH),
    Stage(budget=0.5, arms=("fixed 8.16.32", "fixed 16.32.64")),
    Stage(budget=4.0, arms=("cooldown, rate from 1x",), tuning=_ONCE),
    Stage(budget=4.0, arms=("fixed 16.32.64",)),
    Stage(budget=2.0, arms=("fixed 16.32.64",)),
    Stage(budget=4.0, arms=("cooldown",), tuning=_LARGEST),
    Stage(arms=("grow 8.16.64", "fixed 8.16.64"), seeds=8, tuning=_CLOSE),
    Stage(arms=("mlp fixed 8", "mlp fixed 32", "mlp evolve 8 to 32", "mlp gromo 8 to 32"), tuning=_MLP),
    Stage(arms=("evolve greedy", "evolve uniform", "Torch-Pruning 16 to 8"), tuning=_SHORT),
    Stage(budget=2.0, arms=("fixed 8.16.32",), seeds=2),
    Stage(arms=("fixed 64.128.256",), seeds=1, tuning=_ONCE),
    # The smallest net burns twice the seconds of the next: it is tuned at a quarter.
    Stage(
        budget=0.5,
        arms=("fixed 4.8.16",),
        seeds=2,
        tuning=_SHORT,
    ),
    Stage(budget=4.0, arms=("fixed 32.64.128", "fixed 8.16.32"), seeds=1),
    Stage(budget=0.5, arms=("fixed 8.16.64",), tuning=_CLOSE),
    Stage(budget=0.5, arms=("fixed 32.64.128", "fixed 8.32.64"), seeds=1),
    Stage(budget=2.0, arms=("fixed 32.64.128",), seeds=1),
)
"""All runs, in order."""


def next_key(ledger: Ledger, stages: Sequence[Stage] = STAGES) -> Iterator[Key]:
    """Keys to run, one after the other; each must be in the ledger before the next is asked for."""
    for stage in stages:
        tuning = stage.tuning
        rates = {}
        for arm in stage.arms:
            while wanted := next_rate(_tuned(ledger, arm, tuning), tuning.rates, tuning.seeds, tuning.most):
                rate, seed = wanted
                yield Key(arm=arm, budget=tuning.budget, lr=rate, seed=seed, split="tune")
            rates[arm] = chosen_rate(_tuned(ledger, arm, tuning), tuning.seeds)
        for seed in range(FIRST_SEED, FIRST_SEED + stage.seeds):
            for arm in stage.arms:
                key = Key(arm=arm, budget=stage.budget, lr=rates[arm], seed=seed, split="final")
                if key not in ledger:
                    yield key


def _tuned(ledger: Ledger, arm: str, tuning: Tuning) -> list[dict[str, Any]]:
    return ledger.find(arm=arm, split="tune", budget=tuning.budget)


def chosen_only(ledger: Ledger, stages: Sequence[Stage] = STAGES) -> Ledger:
    """The runs that count: those with the learning rate that the tuning chose, and all of the tuning."""
    rates = {}
    for stage in stages:
        for arm in stage.arms:
            rows = _tuned(ledger, arm, stage.tuning)
            if next_rate(rows, stage.tuning.rates, stage.tuning.seeds, stage.tuning.most) is None:
                rates[arm] = chosen_rate(rows, stage.tuning.seeds)
    found = Ledger(ledger.path)
    found.rows = {
        key: row for key, row in ledger.rows.items() if key.split == "tune" or rates.get(key.arm) == key.lr
    }
    return found
