"""What a conversion reads from: files to recognise it by, tensors one at a time, and small files to go with
them."""

__all__ = ["Source", "SourceFormat", "cast"]

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from outgrow.store.writer import TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A checkpoint in a foreign format, opened."""

    specs: tuple[TensorSpec, ...]
    """Its tensors, to be made one at a time, in the order in which they shall be written."""
    write_companions: Callable[[Path], None]
    """Writes configuration and tokenizer, as far as there are any, into a directory."""


class SourceFormat(Protocol):
    """One foreign format."""

    def find(self, path: Path) -> tuple[Path, ...]:
        """The files of the checkpoint at `path`, in order; empty where `path` is not of this format.

        Raises:
            InputError: it is of this format, but a file of it is missing.
        """
        ...

    def open(self, files: tuple[Path, ...], dtype: torch.dtype | None) -> Source:
        """Open the files that `find` gave. Tensors of floating point become `dtype`; None leaves the choice
        here.

        Raises:
            InputError: the checkpoint is of a kind that cannot be converted, or a package for it is missing.
            StoreCorrupt: it is damaged.
        """
        ...


def cast(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """`tensor` in `dtype` if both are of floating point, else as it is."""
    return tensor.to(dtype) if dtype is not None and tensor.dtype.is_floating_point else tensor
