"""The tiny trainings whose every sequence of decisions is run: a data set, a net and where it starts."""

__all__ = ["DEPTH", "TASKS", "Splits", "Task", "TinyNet", "read_splits"]

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.evolve.fashion import read_idx

DEPTH = 4
"""Decisions of a run."""
_SPLIT_SEED = 4_11


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One tiny training."""

    data: str
    """`digits` (scikit-learn), `fashion` or `mnist` (IDX files)."""
    start: tuple[int, int]
    """Widths at the beginning."""
    steps: int
    """Steps of one segment at those widths; its multiply-adds are what every segment may spend."""
    lr: float
    """Learning rate of SGD with a momentum of 0.9, up to the last segment, where it falls to 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Inputs `[samples, 1, side, side]` float32 and labels `[samples]` int64."""

    train: tuple[Tensor, Tensor]
    """Trained on."""
    validation: tuple[Tensor, Tensor]
    """What policies see and rewards are made of."""
    test: tuple[Tensor, Tensor]
    """What no policy sees."""


class TinyNet(nn.Module):
    """Pictures `[batch, 1, side, side]` to logits `[batch, 10]`: three linear layers.

    Small enough that a thousand trainings of it take seconds; a convolution costs ten times as much at such
    sizes, all of it in calls and not in arithmetic.
    """

    def __init__(self, pixels: int, first: int, second: int) -> None:
        super().__init__()
        self.first = nn.Linear(pixels, first)
        self.second = nn.Linear(first, second)
        self.head = nn.Linear(second, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        return self.head(torch.relu(self.second(torch.relu(self.first(inputs.flatten(1))))))


def read_splits(data: str, directories: dict[str, Path]) -> Splits:
    """Read a data set and split it, the same way always.

    Raises:
        FileNotFoundError: the IDX files are not in the directory that is given for it.
    """
    if data == "digits":
        from sklearn.datasets import load_digits

        given = load_digits()
        inputs = torch.tensor(given.images, dtype=torch.float32).unsqueeze(1) / 16
        return _split(inputs, torch.tensor(given.target), inputs, torch.tensor(given.target), 900, 450, None)
    directory = directories[data]
    parts = {}
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            plain = directory / f"{part}-{kind}-ubyte"
            parts[part, kind] = read_idx(plain if plain.exists() else plain.with_name(plain.name + ".gz"))
    return _split(
        _small(parts["train", "images-idx3"]),
        parts["train", "labels-idx1"].long(),
        _small(parts["t10k", "images-idx3"]),
        parts["t10k", "labels-idx1"].long(),
        1500,
        1000,
        1000,
    )


def _small(pictures: Tensor) -> Tensor:
    """28 x 28 bytes to 7 x 7."""
    return F.avg_pool2d(pictures.unsqueeze(1).float() / 255, 4)


def _split(
    inputs: Tensor,
    labels: Tensor,
    last_inputs: Tensor,
    last_labels: Tensor,
    train: int,
    validation: int,
    test: int | None,
) -> Splits:
    """`test` of the last files' pictures, or, where it is None, what is left of the first ones."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(_SPLIT_SEED))
    own, held = order[:train], order[train : train + validation]
    tested = order[train + validation :] if test is None else torch.arange(test)
    mean, deviation = inputs[own].mean(), inputs[own].std()
    return Splits(
        train=((inputs[own] - mean) / deviation, labels[own]),
        validation=((inputs[held] - mean) / deviation, labels[held]),
        test=((last_inputs[tested] - mean) / deviation, last_labels[tested]),
    )


TASKS: dict[str, Task] = {
    f"{data}-{name}": Task(data=data, start=start, steps=steps, lr=0.05)
    for name, start, steps in (("narrow", (4, 4), 80), ("wide", (64, 64), 12))
    for data in ("digits", "fashion", "mnist")
}
"""By name; narrow ones begin too small for their budget, wide ones too large."""
