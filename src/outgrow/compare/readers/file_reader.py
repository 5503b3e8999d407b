"""What a reader of one kind of file gives, and what it is given."""

__all__ = ["FileContent", "FileReader", "FoundTensor"]

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from outgrow.capture.recording import Refusal
from outgrow.compare.readers.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTensor:
    """One tensor in a file, by its description; only `read` touches its numbers."""

    inner: str
    """Where it lies in the file: `""` for a bare tensor, else `key`, `key.inner`, `key[0]`, `[0]`; a
    quantized tensor has a second one for its codes, with `.codes` behind."""
    dtype: torch.dtype
    shape: tuple[int, ...]
    read: Callable[[], Tensor] = field(repr=False, compare=False)
    """As `Record.read`: mapped from the file wherever its bytes lie there plainly."""
    is_unpacked: bool = False
    """As `Record.is_unpacked`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """What is in one file."""

    records: tuple[FoundTensor, ...] = ()
    refused: tuple[Refusal, ...] = ()
    """What was met in it and left out; `Refusal.entry` begins with the file's own entry."""


class FileReader(Protocol):
    """Opens one kind of file that somebody else made. Holds no state."""

    def read(
        self, path: Path, entry: str, limits: Limits, region: tuple[int, int] | None = None
    ) -> FileContent:
        """The tensors of the file at `path`, in their order there; no code in it is run.

        `entry` is what people call it (its path below the dump). With `region`, the file is only the bytes
        `(offset, length)` of `path`: a stored entry of an archive.

        Raises:
            OutgrowError: nothing of the file can be read; `read_entry` makes a refusal of it.
        """
        ...
