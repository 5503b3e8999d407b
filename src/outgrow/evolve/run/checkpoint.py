"""The state of a run on disk: replaced as a whole, so that a kill leaves the last one or the next."""

__all__ = ["Progress", "RunState", "read_state", "write_state"]

import dataclasses
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.evolve.archive.archive_file import ArchiveCorrupt, read_archive, write_archive
from outgrow.evolve.archive.edits import edits_as_json, edits_from_json
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.run.tensor_tree import pack, unpack
from outgrow.evolve.transactions.random_state import RandomState

_KIND = "outgrow.evolve.run"
_HINT = "remove the directory and begin again, or put back a copy of it"


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run is: all of it numbers and text."""

    steps: int = 0
    """Steps of the optimizer."""
    samples: int = 0
    """Pictures seen."""
    spent: float = 0.0
    """Training FLOPs, those of deciding included."""
    deciding: float = 0.0
    """Of these, what deciding took."""
    asked: int = 0
    """How often the policy was asked."""
    evaluated: int = 0
    """How many of the planned evaluations were made."""
    loss_sum: float = 0.0
    """Of the training losses since the last evaluation."""
    loss_count: int = 0
    """How many these are."""
    seconds: float = 0.0
    """Wall time of all processes that worked on it."""
    refused: list[int] = field(default_factory=list)
    """Numbers of decisions whose change was taken back, because the loss was no number after it."""
    is_trained: bool = False
    """Whether the budget is spent."""
    entries: list[dict[str, Any]] = field(default_factory=list)
    """The log so far."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunState:
    """Everything that a run needs to go on, bit for bit."""

    progress: Progress
    """How far it is."""
    edits: tuple[Edit, ...]
    """What was done to the model, in order."""
    weights: dict[str, Tensor]
    """Parameters and buffers by name, those that are not persistent included."""
    groups: list[list[str]]
    """The optimizer's parameters, group after group, by name."""
    optimizer: dict[str, Any]
    """Its `state_dict`."""
    order: dict[str, Any]
    """Where the reading of batches stands."""
    random: dict[str, Any]
    """Where the generators stand."""


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers by name; a tied one once."""
    return {name: tensor.detach() for name, tensor in [*model.named_parameters(), *model.named_buffers()]}


def generators_now() -> dict[str, Any]:
    """Where all random generators stand, as `pack` takes it."""
    state = RandomState.now()
    numpy = None if state.numpy is None else [state.numpy[0], state.numpy[1].tolist(), *state.numpy[2:]]
    return {"cpu": state.cpu, "cuda": list(state.cuda), "python": state.python, "numpy": numpy}


def put_generators_back(held: dict[str, Any]) -> None:
    """Let them stand where `generators_now` found them."""
    torch.set_rng_state(held["cpu"])
    if held["cuda"]:
        torch.cuda.set_rng_state_all(held["cuda"])
    random.setstate(held["python"])
    numpy: Any = sys.modules.get("numpy")
    if held["numpy"] is not None and numpy is not None:
        name, keys, *others = held["numpy"]
        numpy.random.set_state((name, numpy.array(keys, dtype="uint32"), *others))


def write_state(path: Path, state: RunState, configuration: str) -> None:
    """Put `state` in place of what is at `path`, whole or not at all; `configuration` is a digest.

    Raises:
        InputError: the optimizer holds something that is neither tensor nor number.
        StoreError: the disk is full or cannot be written; the last state is still there.
    """
    tensors: dict[str, Tensor] = {}
    parts = {
        name: pack(getattr(state, name), tensors)
        for name in ("weights", "groups", "optimizer", "order", "random")
    }
    # Several parts may hold one tensor, and one may be a view: each is written as it is.
    manifest = {
        "configuration": configuration,
        "progress": dataclasses.asdict(state.progress),
        "edits": edits_as_json(state.edits),
        "parts": parts,
    }
    write_archive(path, manifest, tensors, overwrite=True, kind=_KIND)


def read_state(path: Path, configuration: str) -> RunState:
    """Read what `write_state` wrote.

    Raises:
        ArchiveCorrupt: it is damaged, or of another configuration.
        InputError: it is of a newer version.
        StoreError: it cannot be read.
    """
    content = read_archive(path, kind=_KIND)
    if content.manifest.get("configuration") != configuration:
        raise ArchiveCorrupt(f"{str(path)!r} is of a run with another configuration", hint=_HINT)
    try:
        held: Any = content.manifest
        parts = {name: unpack(part, content.tensors) for name, part in held["parts"].items()}
        return RunState(progress=Progress(**held["progress"]), edits=edits_from_json(held["edits"]), **parts)
    except (AttributeError, KeyError, TypeError, ValueError) as err:
        if isinstance(err, InputError):
            raise
        raise ArchiveCorrupt(f"the state in {str(path)!r} makes no sense: {err!r}", hint=_HINT) from err
