"""Whether every module of a streamed model gives the bits that it gives without streaming: the first pass."""

__all__ = ["ModuleCheck", "compare_first_passes", "record_first_pass"]

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from torch import nn

from outgrow.capture import Recording, open_own, record
from outgrow.difference import difference
from outgrow.errors import StoreError
from outgrow.quantities import format_bytes
from outgrow.store.writer import make_directory

# Enough for a prompt of some hundred tokens in a model of seven billion parameters.
_MAX_BYTES = 2**30
_DISK_SHARE = 4
# What is left of less is not worth the name of a comparison.
_LEAST_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleCheck:
    """How the outputs of all modules compare in the first pass, the one over the prompt."""

    tensors: int
    """How many were compared."""
    modules: int
    """How many modules gave them."""
    differing: int
    """How many have not the same bits, or are on one side alone."""
    first_difference: str | None
    """The first of these, in order of execution."""
    max_abs: float
    """How far that one is off; 0.0 where there is none, infinite where it cannot be said."""
    compared_bytes: int
    """What the tensors that were compared take in all."""
    is_cut: bool
    """Whether there was more than fits: then only the beginning of the pass was compared."""

    @property
    def is_identical(self) -> bool:
        """Whether something was compared, and all of it has the same bits."""
        return self.tensors > 0 and not self.differing

    def as_dict(self) -> dict[str, Any]:
        """All by name."""
        return asdict(self)

    def sentence(self) -> str:
        """For the terminal."""
        if self.differing:
            return (
                f"{self.differing:,} of {self.tensors:,} tensors of {self.modules:,} modules differ, "
                f"first {self.first_difference!r} by {self.max_abs:g}"
            )
        cut = f", the first {format_bytes(self.compared_bytes)} of them" if self.is_cut else ""
        return f"{self.tensors:,} tensors of {self.modules:,} modules are bit-identical{cut}"


@contextlib.contextmanager
def record_first_pass(model: nn.Module, folder: Path) -> Iterator[None]:
    """Record the outputs of all modules into `folder` while `model` is called for the first time.

    Raises:
        StoreError: there is no space for it.
    """
    make_directory(folder.parent)
    free = shutil.disk_usage(folder.parent).free
    needed = _LEAST_BYTES * _DISK_SHARE
    if free < needed:
        raise StoreError(
            f"no space to record what the modules give: {format_bytes(needed)} are needed "
            f"in {str(folder.parent.parent)!r}, {format_bytes(free)} are free",
            hint="free some space, or name another directory in TMPDIR",
        )
    limit = min(_MAX_BYTES, free // _DISK_SHARE)
    with contextlib.ExitStack() as recording:
        recording.enter_context(record(model, folder, max_bytes=limit))
        # Called after the recorder's own hook. The passes that follow are not held up by it.
        hook = model.register_forward_hook(lambda *_: recording.close())
        try:
            yield
        finally:
            hook.remove()


def compare_first_passes(actual: Path, expected: Path) -> ModuleCheck:
    """Compare two recordings of `record_first_pass` bit by bit, tensor after tensor.

    Raises:
        StoreError: one of them cannot be read.
    """
    differing, first, max_abs = 0, None, 0.0
    with open_own(actual) as one, open_own(expected) as other:
        ours = {(record.name, record.call): record for record in one.records}
        theirs = {(record.name, record.call): record for record in other.records}
        # Other programs use the disk too, so that one recording may be cut earlier than the other. What the
        # other holds behind that says nothing.
        is_ours_cut, are_theirs_cut = _is_cut(one), _is_cut(other)
        if is_ours_cut:
            theirs = dict(islice(theirs.items(), len(ours)))
        if are_theirs_cut:
            ours = dict(islice(ours.items(), len(theirs)))
        keys = list(dict.fromkeys([*theirs, *ours]))
        for key in keys:
            distance = _distance(ours.get(key), theirs.get(key))
            if distance is None:
                continue
            differing += 1
            if first is None:
                first, max_abs = key[0], distance
        return ModuleCheck(
            tensors=len(keys),
            modules=len({record.module for record in (*ours.values(), *theirs.values())}),
            differing=differing,
            first_difference=first,
            max_abs=max_abs,
            compared_bytes=sum(record.nbytes for record in theirs.values()),
            is_cut=is_ours_cut or are_theirs_cut,
        )


def _is_cut(recording: Recording) -> bool:
    return any("limit" in refusal.reason for refusal in recording.refused)


def _distance(actual: Any, expected: Any) -> float | None:
    """None where both are there and have the same bits."""
    if actual is None or expected is None:
        return float("inf")
    if (actual.shape, actual.dtype) != (expected.shape, expected.dtype):
        return float("inf")
    found = difference(actual.read(), expected.read())
    return None if found.is_identical else float(found.max_abs)
