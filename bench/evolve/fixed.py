"""One run of a shape that stays."""

__all__ = ["build", "figures", "train_fixed"]

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from bench.evolve.fashion import Pictures
from bench.evolve.ledger import Key
from bench.evolve.net import UNIT_MACS, ThreeConv, picture_macs
from bench.evolve.training import Batches, Training, judge


def build(
    widths: Sequence[int],
    pictures: Pictures,
    seed: int,
    lr: float,
    forward_cost: Callable[[nn.Module], float] = picture_macs,
) -> Training:
    """A fresh model of these widths, Adam, and the batches of this seed."""
    torch.manual_seed(seed)
    model = ThreeConv(widths).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    return Training(model, optimizer, Batches(*pictures.train, seed=seed), forward_cost)


def figures(training: Training, pictures: Pictures, split: str) -> dict[str, Any]:
    """What a finished run is worth; the test data are opened for `final` alone."""
    model: nn.Module = training.model
    found = {
        "train": judge(model, pictures.train),
        "validation": judge(model, pictures.validation),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "macs": training.macs,
        "cpu_seconds": training.seconds,
        "steps": training.steps,
        "epochs": training.samples / len(pictures.train[1]),
    }
    if split == "final":
        found["test"] = judge(model, pictures.test)
    return found


def train_fixed(
    key: Key, widths: Sequence[int], pictures: Pictures, unit: float = UNIT_MACS
) -> dict[str, Any]:
    """Train one shape for the whole budget."""
    training = build(widths, pictures, key.seed, key.lr)
    training.finish(key.budget * unit, key.lr)
    return figures(training, pictures, key.split)
