"""Torch-Pruning's way: train wide, cut half of all channels by magnitude, go on."""

__all__ = ["train_pruned"]

import time
from typing import Any

import torch

from bench.evolve.fashion import Pictures
from bench.evolve.fixed import build, figures
from bench.evolve.ledger import Key
from bench.evolve.net import UNIT_MACS
from bench.evolve.schedule import rate


def train_pruned(
    key: Key,
    pictures: Pictures,
    *,
    start: tuple[int, int, int],
    share: float,
    ratio: float,
    unit: float = UNIT_MACS,
) -> dict[str, Any]:
    """Train `start` for `share` of the budget, prune `ratio` of every layer, go on with a fresh Adam.

    The library exchanges the parameters and leaves the optimizer to its user, so the moments are lost.
    """
    import torch_pruning

    training = build(start, pictures, key.seed, key.lr)
    budget = key.budget * unit
    training.advance(share * budget, lambda spent: rate(key.lr, spent / budget))
    began = time.process_time()
    model = training.model
    pruner = torch_pruning.pruner.MagnitudePruner(
        model,
        pictures.train[0][:2],
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=ratio,
        ignored_layers=[model.get_submodule("head")],
    )
    pruner.step()
    model.to(memory_format=torch.channels_last)
    training.optimizer = torch.optim.Adam(model.parameters(), lr=key.lr, fused=True)
    training.seconds += time.process_time() - began
    training.finish(budget, key.lr)
    return figures(training, pictures, key.split)
