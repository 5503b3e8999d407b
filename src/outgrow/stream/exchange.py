"""`load_state_dict` on a streamed model: new bytes go to a file of their own, and are streamed from there."""

__all__ = ["Attached", "TemporaryFolder", "load_state_dict"]

import os
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from outgrow.errors import InputError, StoreError, hint_for, no_temporary_directory
from outgrow.events import ignore
from outgrow.interrupts import Uninterrupted
from outgrow.stream.config import Config
from outgrow.stream.live_weight import LiveWeight
from outgrow.stream.stored_weights import store_weights
from outgrow.stream.weight_stream import WeightStream
from outgrow.stream.whole import has_equal_bits


class Attached(Protocol):
    """What a model's methods know of what joins it and its stream."""

    stream: WeightStream
    config: Config
    folders: list["TemporaryFolder"]

    def move(self, device: torch.device) -> None:
        """Compute on `device` from now on."""
        ...

    def copy(self, memo: dict[int, Any]) -> nn.Module:
        """Another model with a stream of its own."""
        ...

    def reduce(self) -> tuple[Any, ...]:
        """How to pickle the model."""
        ...

    def close(self) -> None:
        """End the stream."""
        ...


def load_state_dict(
    model: nn.Module,
    attachment: Attached,
    state: Mapping[str, Any],
    *,
    strict: bool,
    assign: bool,
) -> Any:
    """As `nn.Module.load_state_dict`, of a streamed model or of a part of it. The model's own checkpoint is
    never written to.

    Weights that differ from what is streamed now are written to a new file (in `storage_path`, or a temporary
    directory that goes with the model and its copies) and streamed from it; equal ones are left alone.

    Raises:
        RuntimeError: names or shapes do not fit, in torch's own words; nothing has changed then.
        InputError: `assign` is asked for, which would keep the given tensors in memory.
        StoreError: the new file cannot be written; nothing has changed then.
    """
    if assign:
        raise InputError(
            "a streamed model cannot take over tensors in memory (assign=True)",
            hint="leave assign out, or outgrow.stream.restore(model) first",
        )
    stream = attachment.stream
    streamed = {id(parameter): weight for weight in stream.weights for parameter in weight.parameters}
    by_name = {
        name: streamed[id(parameter)]
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if id(parameter) in streamed
    }
    with stream.lock:
        missing, unexpected = _check(model, state, strict=strict)
        # Of several names of one weight the last one counts, as where each is copied after the other.
        given = {weight.name: (weight, state[name]) for name, weight in by_name.items() if name in state}
        changed = {
            name: (weight, value)
            for name, (weight, value) in given.items()
            if stream.was_changed(weight) or not _is_equal(weight, value)
        }
        if changed:
            with Uninterrupted():
                _stream_instead(attachment, changed)
        others = {name: value for name, value in state.items() if name not in by_name}
        type(model).load_state_dict(model, others, strict=False)
    return torch.nn.modules.module._IncompatibleKeys(missing, unexpected)


def _check(model: nn.Module, state: Mapping[str, Any], *, strict: bool) -> tuple[list[str], list[str]]:
    """Names that are missing and unexpected; torch's error where they may not be, or where shapes differ."""
    expected = model.state_dict(keep_vars=True)
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    problems = []
    if strict and unexpected:
        problems.append(f"Unexpected key(s) in state_dict: {', '.join(map(repr, unexpected))}. ")
    if strict and missing:
        problems.append(f"Missing key(s) in state_dict: {', '.join(map(repr, missing))}. ")
    for name, value in state.items():
        wanted = expected.get(name)
        if isinstance(wanted, Tensor) and (not isinstance(value, Tensor) or value.shape != wanted.shape):
            shape = value.shape if isinstance(value, Tensor) else type(value).__name__
            problems.append(
                f"size mismatch for {name}: copying a param with shape {shape} from checkpoint, "
                f"the shape in current model is {wanted.shape}."
            )
    if problems:
        lines = "\n\t".join(problems)
        raise RuntimeError(f"Error(s) in loading state_dict for {type(model).__name__}:\n\t{lines}")
    return missing, unexpected


def _is_equal(weight: LiveWeight, value: Tensor) -> bool:
    if value.device.type == "meta":
        raise InputError(
            f"the state_dict holds no data for {weight.name!r}: it is a meta tensor",
            hint="load the state_dict onto a device: torch.load(..., map_location='cpu')",
        )
    current = weight.resident if weight.resident is not None else weight.whole()
    return has_equal_bits(current.detach(), _laid_out(value, weight, current.device))


def _laid_out(value: Tensor, weight: LiveWeight, device: torch.device) -> Tensor:
    """`value` on `device` in dtype and strides of the weight: as it would lie there, copied to it."""
    given = value.detach().to(device=device, dtype=weight.weight.dtype)
    if given.stride() == weight.stride:
        return given
    return torch.empty_strided(weight.shape, weight.stride, dtype=given.dtype, device=device).copy_(given)


class TemporaryFolder:
    """A directory that goes when the last model goes that streams from it."""

    def __init__(self) -> None:
        """Make it, for its owner alone.

        Raises:
            StoreError: it cannot be made.
        """
        try:
            self.path = Path(tempfile.mkdtemp(prefix="outgrow-weights-"))
        except OSError as err:
            raise no_temporary_directory(err) or StoreError(
                f"cannot make a temporary directory for weights: {err}", hint=hint_for(err)
            ) from err
        self.remove = weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(folder: Path, process: int) -> None:
    # Not where a process ends that was forked off: the one that made the directory goes on.
    if os.getpid() == process:
        rmtree(folder, ignore_errors=True)


def _stream_instead(attachment: Attached, changed: Mapping[str, tuple[LiveWeight, Tensor]]) -> None:
    config, stream = attachment.config, attachment.stream
    temporary = TemporaryFolder() if config.storage_path is None else None
    stored = store_weights(
        {name: _laid_out(value, weight, torch.device("cpu")) for name, (weight, value) in changed.items()},
        frozenset(name for name, (weight, _) in changed.items() if weight.weight.use.is_gathered),
        Path(config.storage_path) if temporary is None else temporary.path,  # type: ignore[arg-type]
        compression_level=config.compression_level if config.compression_enabled else None,
        listener=ignore,
    )
    statics = {
        weight.weight.index: replace(
            weight.weight, source=stored.sources[name], stride=stored.strides.get(name)
        )
        for name, (weight, _) in changed.items()
    }
    if temporary is not None:
        attachment.folders.append(temporary)
    try:
        stream.exchange(statics, stored.identities, drop_changes=True)
    finally:
        # An error may come when weights stream from there already.
        used = {weight.weight.source.segments[0].path for weight in stream.weights if weight.weight.nbytes}
        if not stored.was_reused and used.isdisjoint(stored.identities):
            rmtree(stored.folder, ignore_errors=True)
        attachment.folders[:] = [
            folder for folder in attachment.folders if any(folder.path in path.parents for path in used)
        ]
