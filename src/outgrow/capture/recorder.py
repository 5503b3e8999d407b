"""Recording a run: copies of what goes into, through and out of a model's modules, in order."""

__all__ = ["KINDS", "Recorder", "record"]

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.capture.leaves import Leaf, find_leaves
from outgrow.capture.recording_folder import RunPlace, run_place
from outgrow.capture.recording_writer import RecordingWriter
from outgrow.capture.tensor_copy import reason_to_refuse
from outgrow.capture.watch import Call, watch
from outgrow.errors import InputError, nearest_names
from outgrow.names import join_name, matches
from outgrow.quantities import format_bytes, parse_bytes

KINDS = ("inputs", "outputs", "gradients", "parameters", "optimizer")
"""What can be recorded."""

_BUFFER_BYTES = 2**28


class Recorder:
    """Takes the tensors of a run and hands them to the writer. Made by `record`."""

    def __init__(
        self,
        path: Path,
        place: RunPlace,
        *,
        kinds: Sequence[str],
        only: str,
        max_bytes: int | None,
        buffer_bytes: int,
        about: Mapping[str, Any],
    ) -> None:
        self.path = path
        """Where the recording lies."""
        self.kinds = frozenset(kinds)
        self.only = only
        self.max_bytes = max_bytes
        self.step = 0
        """The step that tensors belong to now."""
        self.taken_bytes = 0
        """Bytes of the tensors taken so far."""
        self.left_out = 0
        """How many tensors came after `max_bytes` was reached."""
        self._place = place
        self._writer = RecordingWriter(path, place, about=about, buffer_bytes=buffer_bytes)
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._sequence = 0
        self._calls: Counter[str] = Counter()
        self._refused: set[str] = set()
        self._is_step_used = self._is_stepped_by_hand = False
        self._is_open = True

    @property
    def failure(self) -> BaseException | None:
        """What ended the writing before the run's end, for example a full disk."""
        return self._writer.failure

    @property
    def records(self) -> int:
        """How many tensors are safely in the recording by now."""
        return self._writer.records

    @property
    def nbytes(self) -> int:
        """How many bytes they have."""
        return self._writer.nbytes

    def next_step(self) -> None:
        """Begin a step here, and from now on only here: calls of the model no longer begin one.

        Does nothing else where nothing was recorded in the step that ends.
        """
        self._is_stepped_by_hand = True
        self._advance()

    def begin_call(self) -> None:
        """The model is called: a new step, unless `next_step` was ever used."""
        if not self._is_stepped_by_hand:
            self._advance()
            self._is_step_used = True

    def _advance(self) -> None:
        with self._lock:
            if self._is_step_used:
                self.step += 1
                self._calls.clear()
            self._is_step_used = False

    def count_call(self, name: str) -> int:
        """How often this was called before, in this step; from now on once more."""
        with self._lock:
            self._calls[name] += 1
            return self._calls[name] - 1

    def take(
        self, value: Any, name: str, *, kind: str, module: str, step: int | None = None, call: int = 0
    ) -> list[Leaf]:
        """Copy and queue all tensors of `value`; what cannot be taken is named. Returns those taken."""
        taken: list[Leaf] = []
        if not self._is_open or os.getpid() != self._process:  # a fork has hooks, but no writer
            return taken
        for leaf in find_leaves(value):
            full = join_name(name, leaf.name)
            reason = leaf.reason if leaf.tensor is None else reason_to_refuse(leaf.tensor)
            if leaf.tensor is None or reason is not None:
                self.refuse(full, reason or "")
                continue
            if self._take_one(leaf.tensor, full, kind, module, self.step if step is None else step, call):
                taken.append(leaf)
        return taken

    def refuse(self, name: str, reason: str) -> None:
        """Put into the recording that something is not in it; once for each name."""
        with self._lock:
            if name not in self._refused:
                self._refused.add(name)
                self._writer.put({"refused": name, "reason": reason})

    def close(self, error: BaseException | None = None) -> None:
        """Write what waits, and end the recording; `error` is what ended the run early.

        Raises:
            StoreError: not all could be written; what came before is readable.
        """
        if not self._is_open:
            return
        self._is_open = False
        if os.getpid() != self._process:
            return
        last: dict[str, Any] = {"left_out": self.left_out}
        if error is not None:
            last["error"] = type(error).__name__
        self._writer.close(last)

    def _take_one(self, tensor: Tensor, name: str, kind: str, module: str, step: int, call: int) -> bool:
        nbytes = tensor.numel() * tensor.dtype.itemsize
        with self._lock:
            is_over = self.max_bytes is not None and self.taken_bytes + nbytes > self.max_bytes
            # A recording that is cut ends there: nothing small is let in behind what was too large.
            if is_over or self.left_out:
                self.left_out += 1
                is_first = self.left_out == 1
            else:
                self.taken_bytes += nbytes
        if self.left_out:
            if is_first:
                limit = format_bytes(self.max_bytes or 0)
                self.refuse(name, f"the limit of {limit} is reached here: nothing after it is recorded")
            return False
        copy = self._writer.memory.copy(tensor)
        if copy is None:
            return False
        with self._lock:
            entry = {
                "sequence": self._sequence, "name": name, "module": module, "kind": kind,
                "step": step, "call": call, "rank": self._place.rank,
                "mesh": copy.mesh or dict(self._place.mesh), "placement": copy.placement,
                "dtype": str(copy.dtype).removeprefix("torch."), "shape": copy.shape,
            }  # fmt: skip
            self._sequence += 1
            self._is_step_used = True
            self._writer.put(entry, copy)
        return True


@contextlib.contextmanager
def record(
    model: nn.Module,
    path: Path | str,
    *,
    only: str = "*",
    kinds: Sequence[str] = ("outputs",),
    max_bytes: int | str | None = None,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer] = (),
    rank: int | None = None,
    world_size: int | None = None,
    mesh: Mapping[str, int] | None = None,
    buffer_bytes: int | str = _BUFFER_BYTES,
) -> Iterator[Recorder]:
    """Record tensors of `model` into the folder `path` for as long as the `with` block lasts."""
    place = run_place(rank, world_size, mesh)
    kinds = _checked_kinds(kinds)
    optimizers = [optimizer] if isinstance(optimizer, torch.optim.Optimizer) else list(optimizer)
    if "optimizer" in kinds and not optimizers:
        raise InputError("the kind 'optimizer' is asked for, and no optimizer is given", hint="optimizer=...")
    if not any(matches(name, only) for name, _ in model.named_modules()):
        names = [name for name, _ in model.named_modules()]
        near = ", ".join(map(repr, nearest_names(only, names) or names[:3]))
        raise InputError(f"no module of the model fits {only!r}", hint=f"modules are called {near}")
    recorder = Recorder(
        Path(path),
        place,
        kinds=kinds,
        only=only,
        max_bytes=None if max_bytes is None else parse_bytes(max_bytes),
        buffer_bytes=parse_bytes(buffer_bytes),
        about={"model": type(model).__name__, "only": only, "kinds": list(kinds)},
    )
    error: BaseException | None = None
    try:
        with contextlib.ExitStack() as hooks:
            attach(recorder, model, hooks)
            yield recorder
    except BaseException as err:
        error = err
        raise
    finally:
        recorder.close(error)


def attach(recorder: Recorder, model: nn.Module, hooks: contextlib.ExitStack) -> None:
    calls = threading.local()

    def begin(_call: Call) -> None:
        recorder.begin_call()

    def enter(call: Call) -> None:
        number = recorder.count_call(call.name)
        stack = calls.__dict__.setdefault("stack", [])
        stack.append((recorder.step, number))
        if "inputs" in recorder.kinds:
            recorder.take(
                call.arguments(), join_name(call.name, "input"), kind="inputs", module=call.name, call=number
            )

    def leave(call: Call, output: Any, error: BaseException | None) -> None:
        step, number = calls.stack.pop()
        if error is None and "outputs" in recorder.kinds:
            recorder.take(
                output,
                join_name(call.name, "output"),
                kind="outputs",
                module=call.name,
                step=step,
                call=number,
            )

    hooks.enter_context(watch(model, enter=enter, leave=leave, only=recorder.only))
    hooks.enter_context(watch(model, enter=begin, only=""))


def _checked_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"there is no kind {kind!r} to record", hint=f"kinds are {', '.join(KINDS)}")
    if not kinds:
        raise InputError("nothing is to be recorded: no kind is given", hint=f"kinds are {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in kinds)
