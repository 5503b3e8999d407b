"""Where a tensor of a torch file lies in its storage."""

__all__ = ["TensorPlace"]

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from outgrow.compare.readers.advice import COPY_AGAIN
from outgrow.compare.readers.files.piece import Piece
from outgrow.errors import InputError

_MAX_DIMS = 64
_MAX_FLAGS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorPlace:
    """A strided view of a storage, with every number of it checked. Offsets and strides count elements."""

    piece: Piece
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    is_conj: bool = False
    is_neg: bool = False

    @classmethod
    def of(
        cls, piece: Piece, dtype: torch.dtype, offset: Any, shape: Any, stride: Any, metadata: Any
    ) -> "TensorPlace":
        """Check what a file says.

        Raises:
            InputError: it is not a tensor within its storage.
        """
        # First how many they are: one tuple of millions may stand in a thousand places.
        if not isinstance(shape, tuple | list) or not isinstance(stride, tuple | list):
            raise InputError("has a shape or strides that are no tuples of counts", hint=COPY_AGAIN)
        if len(shape) > _MAX_DIMS:
            raise InputError(
                f"has {len(shape):,} dims", hint=f"at most {_MAX_DIMS} dims are read: save it with fewer"
            )
        if len(shape) != len(stride) or not _are_counts(shape) or not _are_counts(stride):
            raise InputError("has a shape or strides that are no tuples of counts", hint=COPY_AGAIN)
        if not _are_counts((offset,)):
            raise InputError("has an offset that is no count", hint=COPY_AGAIN)
        if isinstance(metadata, list) and len(metadata) > _MAX_FLAGS:
            raise InputError("has more flags than torch knows", hint=COPY_AGAIN)
        # Only text is hashed: integers of an enemy can be made to collide, all of them.
        flags = (
            {key: on for key, on in metadata if isinstance(key, str)} if isinstance(metadata, list) else {}
        )
        place = cls(
            piece=piece,
            dtype=dtype,
            offset=offset,
            shape=tuple(shape),
            stride=tuple(stride),
            is_conj=flags.get("conj") is True,
            is_neg=flags.get("neg") is True,
        )
        end = (offset + place.extent) * dtype.itemsize if place.elements else 0
        if end > piece.nbytes:
            raise InputError(f"ends at byte {end:,} of a storage of {piece.nbytes:,} bytes", hint=COPY_AGAIN)
        if math.prod(max(size, 1) for size in place.shape) >= 2**62:
            raise InputError("has more elements than memory has addresses", hint=COPY_AGAIN)
        return place

    @property
    def elements(self) -> int:
        """How many it has."""
        return math.prod(self.shape)

    @property
    def extent(self) -> int:
        """Elements of the storage from its first to its last one."""
        if not self.elements:
            return 0
        return 1 + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))

    @property
    def expanded_bytes(self) -> int:
        """Bytes by which its numbers are more than what is stored: dims of stride 0, overlaps; all where it
        has to be computed."""
        if self.is_conj or self.is_neg:
            return self.elements * self.dtype.itemsize
        return max(0, self.elements - self.extent) * self.dtype.itemsize

    def read(self) -> Tensor:
        """The tensor, mapped where it is stored plainly."""
        if not self.elements:
            # It may point anywhere, also behind its storage.
            return torch.empty(self.shape, dtype=self.dtype)
        flat = self.piece.tensor(self.offset * self.dtype.itemsize, self.dtype, (self.extent,))
        tensor = flat.as_strided(self.shape, self.stride)
        if self.is_conj:
            tensor = tensor.conj().resolve_conj()
        return -tensor if self.is_neg else tensor


def _are_counts(values: Any) -> bool:
    return isinstance(values, tuple | list) and all(
        type(value) is int and 0 <= value < 2**62 for value in values
    )
