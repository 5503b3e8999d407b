"""What is compared: shapes that stay, shapes that grow, shapes that are cut."""

__all__ = ["COOLDOWN", "DECIDED", "FIXED", "GROWING", "PRUNED", "SWEEP", "name_of", "train"]

from collections.abc import Sequence
from typing import Any

from bench.evolve.cooldown import Trunk, train_trunk
from bench.evolve.decided import Decided, train_decided
from bench.evolve.fashion import Pictures
from bench.evolve.fixed import train_fixed
from bench.evolve.growth import Growing, train_growing
from bench.evolve.ledger import Key
from bench.evolve.mlp import MLP_ARMS, MLP_UNIT_MACS, train_mlp
from bench.evolve.net import UNIT_MACS
from bench.evolve.pruned import Pruned, train_pruned

Widths = tuple[int, int, int]


def name_of(widths: Sequence[int]) -> str:
    """`8.16.32` for (8, 16, 32)."""
    return ".".join(str(width) for width in widths)


SWEEP: dict[str, Widths] = {
    f"fixed {name_of((width, 2 * width, 4 * width))}": (width, 2 * width, 4 * width)
    for width in (4, 8, 16, 32, 64)
}
"""The sweep of widths: what somebody trains who does not know the best width."""

FIXED: dict[str, Widths] = {**SWEEP, "fixed 8.16.64": (8, 16, 64), "fixed 8.32.64": (8, 32, 64)}
"""All shapes that stay: the sweep and two that are not uniform."""

GROWING: dict[str, Growing] = {
    "grow 8.16.64": Growing(start=(8, 16, 32), growths=((0.2, (8, 16, 64)),)),
    "grow 16.32.64 split": Growing(start=(8, 16, 32), growths=((0.3, (16, 32, 64)),)),
    "grow 16.32.64 zero-outgoing": Growing(
        start=(8, 16, 32), growths=((0.3, (16, 32, 64)),), method="zero_outgoing"
    ),
}
"""Schedules of growth that are fixed beforehand; the last two differ in the operator alone."""

_TRUNK = Trunk(start=(8, 16, 32), growths=((0.2, (8, 16, 64)), (0.5, (8, 32, 64)), (1.0, (16, 32, 64))))
COOLDOWN: dict[str, Trunk] = {"cooldown": _TRUNK, "cooldown, rate from 1x": _TRUNK}
"""One run for all budgets; its rate is chosen at the largest of them, or where all others have theirs."""

DECIDED: dict[str, Decided] = {
    "evolve greedy": Decided(policy="greedy"),
    "evolve uniform": Decided(policy="uniform"),
}
"""A policy looks at the run and chooses."""

PRUNED: dict[str, Pruned] = {
    "Torch-Pruning 16 to 8": Pruned(start=(16, 32, 64), share=0.2, ratio=0.5),
}
"""The other way round, by the peer."""


def train(key: Key, pictures: Pictures, scale: float = 1.0) -> dict[str, Any]:
    """Make one run; `scale` makes all budgets smaller, for tests.

    Raises:
        KeyError: there is no such arm.
    """
    if key.arm in MLP_ARMS:
        return train_mlp(key, MLP_ARMS[key.arm], pictures, MLP_UNIT_MACS * scale)
    unit = UNIT_MACS * scale
    if key.arm in FIXED:
        return train_fixed(key, FIXED[key.arm], pictures, unit)
    if key.arm in GROWING:
        return train_growing(key, GROWING[key.arm], pictures, unit)
    if key.arm in COOLDOWN:
        return train_trunk(key, COOLDOWN[key.arm], pictures, unit)
    if key.arm in DECIDED:
        return train_decided(key, DECIDED[key.arm], pictures, unit)
    return train_pruned(key, PRUNED[key.arm], pictures, unit)
