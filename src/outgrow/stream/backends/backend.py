"""What a backend is: memory on the device that computes, and a way from the disk into it."""

__all__ = ["Backend", "Carrier"]

from typing import Protocol

import torch
from torch import Tensor

from outgrow.stream.residency import Ticket
from outgrow.stream.weights import Chunk, Piece


class Carrier(Protocol):
    """What one I/O thread works with. It is used by that thread alone."""

    def carry(self, chunk: Chunk, piece: Piece, into: Tensor, ticket: Ticket | None) -> int:
        """Bring one chunk of `piece` to its place; returns the bytes read.

        `into` is the memory of the piece: for a chunk in place the whole reservation, shape `[bytes]`,
        uint8; otherwise the piece's elements, shape `[elements]`, in the dtype that the model computes in. A
        copy that is still under way on return is noted in `ticket`, for `Backend.before_use`; without a
        ticket the bytes are there on return.

        Raises:
            StoreError: the file cannot be read or is too short, or an encoded run is damaged.
        """
        ...

    def close(self) -> None:
        """Give the staging memory back."""
        ...


class Backend(Protocol):
    """Memory of one plan on one device: a window, and threads' staging memory.

    Methods are called from the thread that runs the model, except `make_carrier` and what it makes, which
    I/O threads call.
    """

    name: str
    """What `Config.backend` calls it."""
    device: torch.device
    """Where weights are when a module computes."""
    in_place: bool
    """Whether the disk can write straight into the window."""
    staged_chunk_bytes: int | None
    """Most bytes of one read through staging memory that is not part of the budget, being main memory in
    front of a GPU; None where it is part of it."""

    def open_window(self, nbytes: int) -> None:
        """Reserve `nbytes` bytes for the window; the one before must be closed.

        Raises:
            DeviceError: the device has not that much memory.
        """
        ...

    def close_window(self) -> None:
        """Give the window back. No read into it is under way."""
        ...

    def reservation(self, begin: int, nbytes: int) -> Tensor:
        """`nbytes` bytes of the window from `begin` on, shape `[nbytes]`, uint8, with a storage of their own.

        The count of users of that storage tells whether somebody keeps a view of these bytes.
        """
        ...

    def allocate(self, nbytes: int) -> Tensor:
        """Memory outside the window for a resident weight, shape `[nbytes]`, uint8."""
        ...

    def make_carrier(self, staging_bytes: int) -> Carrier:
        """A carrier with this much staging memory; it belongs to the thread that asks."""
        ...

    def before_use(self, ticket: Ticket) -> None:
        """A module is about to compute with `ticket`: order the device's work after the copy."""
        ...

    def after_use(self, ticket: Ticket) -> None:
        """A module's work with `ticket` is queued: order the next copy into its memory after it."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...
