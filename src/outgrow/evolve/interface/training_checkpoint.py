"""A training as it stood after an epoch: the changes, the weights, the optimizer."""

__all__ = ["TrainingCheckpoint"]

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from outgrow.errors import InputError, StoreError
from outgrow.evolve.archive.edits import replay
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.store.writer import make_directory

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCheckpoint:
    """What a file of a checkpoint holds; read with `weights_only`, so that no file can run anything."""

    edits: tuple[str, ...]
    """The changes since the beginning, as JSON."""
    model: dict[str, Any]
    """The model's state dict."""
    optimizer: dict[str, Any]
    """The optimizer's state dict."""
    scheduler: dict[str, Any] | None
    """The scheduler's, where there is one."""
    epoch: int
    """How many epochs are done."""
    history: dict[str, list[float]]
    """Figures of every epoch."""
    inputs: dict[str, Any]
    """What the model is called with where the changes are made again: `args`, a list, and `kwargs`."""

    @staticmethod
    def take(
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scheduler: Any,
        *,
        edits: Sequence[Edit],
        epoch: int,
        history: dict[str, list[float]],
        inputs: dict[str, Any],
    ) -> "TrainingCheckpoint":
        """Of a training as it is now."""
        return TrainingCheckpoint(
            edits=tuple(edit.to_json() for edit in edits),
            model=model.state_dict(),
            optimizer=optimizer.state_dict(),
            scheduler=None if scheduler is None else scheduler.state_dict(),
            epoch=epoch,
            history=history,
            inputs=inputs,
        )

    def write(self, path: str | Path) -> None:
        """Write it; a file that was there is replaced only by a whole one.

        Raises:
            StoreError: its directory cannot be made.
        """
        path = Path(path)
        make_directory(path.parent)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            fields = {name: getattr(self, name) for name in self.__slots__}
            torch.save({"version": _VERSION, **fields}, unfinished)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    @staticmethod
    def read(path: str | Path) -> "TrainingCheckpoint":
        """Read one.

        Raises:
            InputError: there is no such file.
            StoreError: it is no checkpoint, damaged, or of another version.
        """
        if not Path(path).is_file():
            raise InputError(f"there is no checkpoint {path}", hint="Trainer.fit(save_path=...) writes one")
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise StoreError(
                f"{path} cannot be read as a checkpoint: {error}", hint="it is damaged, or none of a Trainer"
            ) from error
        if not isinstance(found, dict) or found.pop("version", None) != _VERSION:
            raise StoreError(
                f"{path} is no checkpoint of version {_VERSION}", hint="it was written by another release"
            )
        return TrainingCheckpoint(**found)

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer, scheduler: Any) -> list[Edit]:
        """Make the changes again, then fill in weights and states; gives the changes.

        Raises:
            OutgrowError: the model is not the one that the training began with.
        """
        inputs = ExampleInputs(args=tuple(self.inputs["args"]), kwargs=self.inputs["kwargs"])
        edits = [Edit.from_json(text) for text in self.edits]
        # What was exact with trained weights, such as pruning what weighs nothing, need not be with these.
        replay(model, edits, example_inputs=inputs, optimizer=optimizer, allow="lossy")
        try:
            model.load_state_dict(self.model)
        except RuntimeError as error:
            raise InputError(
                f"the checkpoint does not fit this {type(model).__name__}: {error}",
                hint="give the model that the training began with, before any change",
            ) from error
        optimizer.load_state_dict(self.optimizer)
        if scheduler is not None and self.scheduler is not None:
            scheduler.load_state_dict(self.scheduler)
        return edits
