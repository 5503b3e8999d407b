"""Torch-Pruning's way: train wide, cut half of all channels by magnitude, go on."""

__all__ = ["Pruned", "train_pruned"]

import time
from dataclasses import dataclass
from typing import Any

import torch

from bench.evolve.fashion import Pictures
from bench.evolve.fixed import build, figures
from bench.evolve.ledger import Key
from bench.evolve.net import UNIT_MACS
from bench.evolve.schedule import rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What is cut when."""

    start: tuple[int, int, int]
    """Widths at the beginning."""
    share: float
    """At which share of the budget."""
    ratio: float
    """Which part of every layer's channels goes."""


def train_pruned(key: Key, arm: Pruned, pictures: Pictures, unit: float = UNIT_MACS) -> dict[str, Any]:
    """Train, prune once, go on with a fresh Adam.

    The library exchanges the parameters and leaves the optimizer to its user, so the moments are lost.
    """
    import torch_pruning

    training = build(arm.start, pictures, key.seed, key.lr)
    budget = key.budget * unit
    training.advance(arm.share * budget, lambda spent: rate(key.lr, spent / budget))
    began = time.process_time()
    model = training.model
    pruner = torch_pruning.pruner.MagnitudePruner(
        model,
        pictures.train[0][:2],
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=arm.ratio,
        ignored_layers=[model.get_submodule("head")],
    )
    pruner.step()
    model.to(memory_format=torch.channels_last)
    training.optimizer = torch.optim.Adam(model.parameters(), lr=key.lr, fused=True)
    training.seconds += time.process_time() - began
    training.finish(budget, key.lr)
    return figures(training, pictures, key.split)
