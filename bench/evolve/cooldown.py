"""Width and budget unknown: one run grows at a constant rate, and for every budget a branch cools down."""

__all__ = ["Trunk", "train_trunk"]

from dataclasses import dataclass
from typing import Any

from bench.evolve.fashion import Pictures
from bench.evolve.fixed import build, figures
from bench.evolve.growth import grow
from bench.evolve.ledger import Key
from bench.evolve.net import UNIT_MACS
from bench.evolve.schedule import HOLD

Widths = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """What grows when, in units of 1x that the trunk itself has spent."""

    start: Widths
    """Widths at the beginning."""
    growths: tuple[tuple[float, Widths], ...] = ()
    """When the trunk has spent so much, to which widths; in order."""
    budgets: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """For each of these a branch leaves at `HOLD` of it and cools down to zero; in order."""
    method: str = "split"
    """How it grows."""


def train_trunk(key: Key, arm: Trunk, pictures: Pictures, unit: float = UNIT_MACS) -> dict[str, Any]:
    """Figures of every branch in `branches`, by budget; `macs` and `cpu_seconds` are those of all.

    The rate is tuned on the branch of `key.budget` alone.
    """
    trunk = build(arm.start, pictures, key.seed, key.lr)
    waiting = list(enumerate(arm.growths))
    branches: dict[str, Any] = {}
    macs = seconds = 0.0
    budgets = [budget for budget in arm.budgets if budget <= key.budget]
    for budget in budgets[-1:] if key.split == "tune" else budgets:
        leaves = HOLD * budget
        while waiting and waiting[0][1][0] <= leaves:
            number, (at, widths) = waiting.pop(0)
            trunk.advance(at * unit, lambda _: key.lr)
            grow(trunk, pictures, widths, arm.method, key.seed * 100 + number)
        trunk.advance(leaves * unit, lambda _: key.lr)
        branch = trunk.fork(pictures.train)
        branch.finish(budget * unit, key.lr)
        branches[f"{budget:g}"] = figures(branch, pictures, key.split)
        macs += branch.macs - trunk.macs
        seconds += branch.seconds - trunk.seconds
    last = branches[f"{max(map(float, branches)):g}"]
    return {**last, "branches": branches, "macs": macs + trunk.macs, "cpu_seconds": seconds + trunk.seconds}
