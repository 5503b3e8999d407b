"""Shapes that grow while they train, by `outgrow.evolve.widen`."""

__all__ = ["Growing", "grow", "train_growing"]

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bench.evolve.fashion import Pictures
from bench.evolve.fixed import build, figures
from bench.evolve.ledger import Key
from bench.evolve.net import UNIT_MACS, widths_of
from bench.evolve.schedule import rate
from bench.evolve.training import Training
from outgrow import evolve

_SITES = ("conv1", "conv2", "conv3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Growing:
    """A schedule of widths that is fixed beforehand."""

    start: tuple[int, int, int]
    """Widths at the beginning."""
    growths: tuple[tuple[float, tuple[int, int, int]], ...]
    """At which share of the budget to which widths."""
    method: str = "split"
    """How: `split` (the default of the library) or `zero_outgoing`."""


def grow(training: Training, pictures: Pictures, widths: Sequence[int], method: str, seed: int) -> None:
    """Widen to `widths`, optimizer state carried over; its seconds count as training's."""
    began = time.process_time()
    example = pictures.train[0][:2].contiguous(memory_format=torch.channels_last)
    for site, now, wanted in zip(_SITES, widths_of(training.model), widths, strict=True):
        if wanted > now:
            evolve.widen(
                training.model,
                site,
                by=wanted - now,
                example_inputs=example,
                optimizer=training.optimizer,
                method=method,
                seed=seed,
            )
    training.seconds += time.process_time() - began


def train_growing(key: Key, arm: Growing, pictures: Pictures, unit: float = UNIT_MACS) -> dict[str, Any]:
    """Train for the whole budget, growing on the way; the schedule of the rate is that of the fixed arms."""
    training = build(arm.start, pictures, key.seed, key.lr)
    budget = key.budget * unit
    for number, (share, widths) in enumerate(arm.growths):
        training.advance(share * budget, lambda spent: rate(key.lr, spent / budget))
        grow(training, pictures, widths, arm.method, key.seed * 100 + number)
    training.finish(budget, key.lr)
    return figures(training, pictures, key.split)
