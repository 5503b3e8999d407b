"""A data set for a run: what is trained on, what choices are made on, and a test split that stays shut."""

__all__ = ["Pictures", "Split", "split_pictures"]

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.errors import InputError

_MOST_VALIDATION = 10_000
_VALIDATION_SHARE = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Pictures with their labels."""

    inputs: Tensor
    """`[samples, channels, height, width]` float32, with the mean and deviation of the training split taken
    out."""
    labels: Tensor
    """`[samples]` int64."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Three splits that have no picture in common."""

    name: str
    """Of the data set."""
    classes: int
    """How many there are; labels are below it."""
    train: Split
    """What is trained on."""
    validation: Split
    """What decisions are made on."""
    open_test: Callable[[], Split]
    """Gives the test split. Call it once, when everything is decided."""
    digest: str
    """Of the pictures and of how they are split; two runs with the same saw the same."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of one picture."""
        return tuple(self.train.inputs.shape[1:])


def split_pictures(
    name: str,
    known: tuple[Tensor, Tensor],
    open_test: Callable[[], tuple[Tensor, Tensor]],
    *,
    classes: int,
    seed: int,
    scale: float,
    train: int | None = None,
) -> Pictures:
    """Split what may be looked at into training and validation, by `seed`.

    Args:
        name: of the data set.
        known: pictures `[samples, channels, height, width]` of any dtype, and labels `[samples]`.
        open_test: gives the test pictures and labels in the same form.
        classes: how many classes there are.
        seed: chooses which pictures are kept for validation: a sixth, 10,000 at most.
        scale: what the largest value of a pixel is.
        train: at most so many pictures to train on; all by default.

    Raises:
        InputError: there are too few pictures.
    """
    inputs, labels = known
    held = min(_MOST_VALIDATION, len(labels) // _VALIDATION_SHARE)
    if held < 1:
        raise InputError(f"{name} has {len(labels)} pictures to train on", hint="give six at least")
    if train is not None and train < 1:
        raise InputError(f"{train} pictures to train on", hint="give a number above zero")
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    own, other = order[held:][:train], order[:held]
    pictures = inputs[own].float() / scale
    mean, deviation = float(pictures.mean()), max(float(pictures.std()), 1e-6)

    def prepared(raw: Tensor, truth: Tensor) -> Split:
        return Split(inputs=(raw.float() / scale - mean) / deviation, labels=truth.long())

    digest = hashlib.sha256(f"{name} {classes} {seed} {tuple(inputs.shape)}".encode())
    for tensor in (inputs[own].contiguous(), labels[own].contiguous(), order):
        digest.update(tensor.numpy().data)
    return Pictures(
        name=name,
        classes=classes,
        train=prepared(inputs[own], labels[own]),
        validation=prepared(inputs[other], labels[other]),
        open_test=lambda: prepared(*open_test()),
        digest=digest.hexdigest()[:32],
    )
