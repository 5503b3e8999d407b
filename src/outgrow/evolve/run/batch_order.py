"""The order in which a run sees its pictures, which can be stopped and gone on with."""

__all__ = ["BatchOrder"]

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from outgrow.errors import InputError
from outgrow.evolve.batches import Batch
from outgrow.evolve.data import Split
from outgrow.evolve.example_inputs import ExampleInputs


class BatchOrder:
    """Shuffled batches for ever; which ones come depends on the seed alone."""

    def __init__(self, split: Split, *, seed: int, batch_size: int) -> None:
        """Raises InputError where there is not even one batch."""
        if len(split) < batch_size:
            raise InputError(
                f"{len(split)} pictures to train on, and a batch has {batch_size}",
                hint="take smaller batches, or more pictures",
            )
        self._split, self._size = split, batch_size
        self._generator = torch.Generator().manual_seed(seed)
        self._order, self._at = torch.empty(0, dtype=torch.int64), 0

    def next(self) -> Batch:
        """The next full batch; what is left over when an epoch ends is passed over."""
        if self._at + self._size > len(self._order):
            self._order, self._at = torch.randperm(len(self._split), generator=self._generator), 0
        chosen = self._order[self._at : self._at + self._size]
        self._at += self._size
        return batch_at(self._split, chosen)

    def state(self) -> dict[str, Any]:
        """Where it stands, for `restore`."""
        return {"generator": self._generator.get_state(), "order": self._order, "at": self._at}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._generator.set_state(state["generator"])
        self._order, self._at = state["order"], int(state["at"])


def batch_at(split: Split, chosen: Tensor | slice) -> Batch:
    """The pictures with these indices as a batch."""
    inputs = ExampleInputs(args=(split.inputs[chosen],), kwargs={})
    return Batch(inputs=inputs, target=split.labels[chosen])
