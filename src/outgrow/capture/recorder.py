"""What is being recorded: which step it is, what was taken and what was not, in order."""

__all__ = ["BUFFER_BYTES", "KINDS", "Recorder"]

import os
import threading
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from outgrow.capture.leaves import Leaf, find_leaves
from outgrow.capture.ranked import RankPiece, rank_pieces
from outgrow.capture.recording_folder import RunPlace
from outgrow.capture.recording_writer import RecordingWriter
from outgrow.capture.tensor_copy import reason_to_refuse
from outgrow.errors import InputError
from outgrow.names import join_name
from outgrow.quantities import format_bytes

KINDS = ("inputs", "outputs", "gradients", "parameters", "optimizer")
"""What can be recorded."""

BUFFER_BYTES = 2**28
"""Most memory for copies that wait to be written."""


class Recorder:
    """Takes the tensors of a run and hands them to the writer. Made by `record`."""

    def __init__(
        self,
        path: Path,
        place: RunPlace,
        *,
        kinds: Sequence[str] = ("outputs",),
        max_bytes: int | None = None,
        buffer_bytes: int = BUFFER_BYTES,
        about: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Begin a recording at `path`; `about` goes into the first line of its index.

        Raises:
            InputError: there is a recording at `path`, or something else, or a kind is none of `KINDS`.
            StoreLocked: another process is recording there.
            StoreError: it cannot be written.
        """
        self.path = path
        """Where the recording lies."""
        self.kinds = frozenset(_checked_kinds(kinds))
        """What is recorded: some of `KINDS`."""
        self.max_bytes = max_bytes
        """After how many bytes the recording is cut; None: never."""
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
        self._seen: set[tuple[str, int, int]] = set()
        self._is_failure_told = False
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
        if self.failure is not None and not self._is_failure_told:
            self._is_failure_told = True
            warnings.warn(f"the recording ended early: {self.failure}", RuntimeWarning, stacklevel=2)

    def _advance(self) -> None:
        with self._lock:
            if self._is_step_used:
                self.step += 1
                self._calls.clear()
                self._seen.clear()
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
            at = self.step if step is None else step
            pieces = rank_pieces(leaf.tensor)
            if all(self._take_one(piece, full, kind, module, at, call) for piece in pieces):
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

    def _take_one(self, piece: RankPiece, name: str, kind: str, module: str, step: int, call: int) -> bool:
        tensor = piece.tensor
        rank = self._place.rank if piece.rank is None else piece.rank
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
            # A second backward pass, for one, comes by here again.
            while (name, call, rank) in self._seen and step == self.step:
                call += 1
            if step == self.step:
                self._seen.add((name, call, rank))
            entry = {
                "sequence": self._sequence, "name": name, "module": module, "kind": kind,
                "step": step, "call": call, "rank": rank,
                "mesh": copy.mesh or dict(self._place.mesh),
                "placement": piece.placement or copy.placement,
                "dtype": str(copy.dtype).removeprefix("torch."), "shape": copy.shape,
            }  # fmt: skip
            self._sequence += 1
            self._is_step_used = True
            self._writer.put(entry, copy)
        return True


def _checked_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"there is no kind {kind!r} to record", hint=f"kinds are {', '.join(KINDS)}")
    if not kinds:
        raise InputError("nothing is to be recorded: no kind is given", hint=f"kinds are {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in kinds)
