"""The panel with gromo: an MLP with one hidden layer that grows from 8 to 32, beside MLPs that stay."""

__all__ = ["MLP_ARMS", "MLP_UNIT_MACS", "train_mlp"]

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bench.evolve.fashion import Pictures
from bench.evolve.fixed import figures
from bench.evolve.ledger import Key
from bench.evolve.schedule import rate
from bench.evolve.training import BATCH, Batches, Training
from outgrow import evolve

_PIXELS, _CLASSES = 28 * 28, 10
MLP_UNIT_MACS = 3.0 * (_PIXELS + _CLASSES) * 32 * 200_000
"""1x of this panel: ten epochs of 20k for 32 hidden units."""
_SHARES = (0.1, 0.2, 0.3)
_STATISTICS_BATCHES = 104
"""A third of an epoch for every growth of gromo."""
_AMPLITUDES = (0.0, 0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpArm:
    """One arm of the panel."""

    hidden: int
    """Width at the beginning."""
    grower: str | None = None
    """`gromo`, `evolve` or `None`; three times by 8 in the first 30 % of the budget."""


MLP_ARMS = {
    "mlp fixed 8": MlpArm(hidden=8),
    "mlp fixed 16": MlpArm(hidden=16),
    "mlp fixed 32": MlpArm(hidden=32),
    "mlp evolve 8 to 32": MlpArm(hidden=8, grower="evolve"),
    "mlp gromo 8 to 32": MlpArm(hidden=8, grower="gromo"),
}
"""By name: what is trained in this panel."""


def train_mlp(key: Key, arm: MlpArm, pictures: Pictures, unit: float = MLP_UNIT_MACS) -> dict[str, Any]:
    """Train one arm; what gromo's statistics cost is charged as forward and backward passes."""
    torch.manual_seed(key.seed)
    model = _gromo(arm.hidden) if arm.grower == "gromo" else _plain(arm.hidden)
    training = Training(model, _adam(model, key.lr), Batches(*pictures.train, seed=key.seed), _macs)
    budget = key.budget * unit
    for number, share in enumerate(_SHARES if arm.grower else ()):
        training.advance(share * budget, lambda spent: rate(key.lr, spent / budget))
        began = time.process_time()
        if arm.grower == "gromo":
            _grow_gromo(training, key.lr)
        else:
            evolve.widen(
                model,
                "1",
                by=8,
                example_inputs=pictures.train[0][:2],
                optimizer=training.optimizer,
                seed=key.seed * 100 + number,
            )
        training.seconds += time.process_time() - began
    training.finish(budget, key.lr)
    return figures(training, pictures, key.split)


def _plain(hidden: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(_PIXELS, hidden), nn.ReLU(), nn.Linear(hidden, _CLASSES))


def _gromo(hidden: int) -> nn.Module:
    from gromo.containers.growing_mlp import GrowingMLP

    return GrowingMLP(_PIXELS, _CLASSES, hidden, 1, activation=nn.ReLU(), device=torch.device("cpu"))


def _adam(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=lr, fused=True)


def _macs(model: nn.Module) -> float:
    return float(sum(parameter.numel() for parameter in model.parameters() if parameter.ndim == 2))


def _grow_gromo(training: Training, lr: float) -> None:
    """Statistics, eight neurons, the amplitude that is best on the last batches, and a fresh Adam."""
    model: Any = training.model
    kept: list[Sequence[torch.Tensor]] = []
    model.init_computation()
    model.eval()
    for number in range(_STATISTICS_BATCHES):
        inputs, labels = training.batches.next()
        model.zero_grad()
        F.cross_entropy(model(inputs), labels, reduction="sum").backward()
        model.update_computation()
        training.macs += training.step_macs()
        training.samples += BATCH
        if number >= _STATISTICS_BATCHES - 8:
            kept.append((inputs, labels))
    model.compute_optimal_updates(maximum_added_neurons=8)
    model.reset_computation()
    model.dummy_select_update()
    inputs, labels = (torch.cat(parts) for parts in zip(*kept, strict=True))
    losses = {}
    with torch.no_grad():
        for amplitude in _AMPLITUDES:
            model.set_scaling_factor(amplitude)
            losses[amplitude] = float(F.cross_entropy(model.extended_forward(inputs), labels))
            training.macs += _macs(model) * len(labels)
    model.set_scaling_factor(min(losses, key=losses.__getitem__))
    model.apply_change()
    model.zero_grad()
    training.optimizer = _adam(model, lr)
