"""Whether every module of a streamed model gives the bits that it gives without streaming: the first pass."""

__all__ = ["ModuleCheck", "compare_first_passes", "record_first_pass"]

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from outgrow.capture import open_own, record
from outgrow.difference import difference
from outgrow.store.writer import make_directory

# Enough for a prompt of some hundred tokens in a model of seven billion parameters.
_MAX_BYTES = 2**30
_DISK_SHARE = 4


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
        cut = f", as far as {_MAX_BYTES // 2**30} GiB go" if self.is_cut else ""
        return f"{self.tensors:,} tensors of {self.modules:,} modules are bit-identical{cut}"


@contextlib.contextmanager
def record_first_pass(model: nn.Module, folder: Path) -> Iterator[None]:
    """Record the outputs of all modules into `folder` while `model` is called for the first time."""
    make_directory(folder.parent)
    limit = min(_MAX_BYTES, shutil.disk_usage(folder.parent).free // _DISK_SHARE)
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
        ours = {record.name: record for record in one.records}
        theirs = {record.name: record for record in other.records}
        names = list(dict.fromkeys([*theirs, *ours]))
        for name in names:
            distance = _distance(ours.get(name), theirs.get(name))
            if distance is None:
                continue
            differing += 1
            if first is None:
                first, max_abs = name, distance
        return ModuleCheck(
            tensors=len(names),
            modules=len({record.module for record in (*ours.values(), *theirs.values())}),
            differing=differing,
            first_difference=first,
            max_abs=max_abs,
            is_cut=any("limit" in refusal.reason for refusal in (*one.refused, *other.refused)),
        )


def _distance(actual: Any, expected: Any) -> float | None:
    """None where both are there and have the same bits."""
    if actual is None or expected is None:
        return float("inf")
    if (actual.shape, actual.dtype) != (expected.shape, expected.dtype):
        return float("inf")
    found = difference(actual.read(), expected.read())
    return None if found.is_identical else float(found.max_abs)
