"""Weights in main memory, read by the disk straight into the window."""

__all__ = ["HostBackend", "HostCarrier"]

import torch
from torch import Tensor

from outgrow.devices.staging import Slab
from outgrow.store.readers import Reader
from outgrow.stream.backends.staged import RunReader, cast, cut_run
from outgrow.stream.residency import Ticket
from outgrow.stream.weights import Chunk, Piece


class HostBackend:
    """A `Backend` for models that compute on the CPU."""

    name = "mmap"
    in_place = True
    staged_chunk_bytes: int | None = None

    def __init__(self, reader: Reader) -> None:
        """`reader` reads the checkpoint files; it belongs to whoever made it."""
        self.device = torch.device("cpu")
        self._reader = reader
        self._window: Slab | None = None

    # The model may run in inference_mode, but not the threads that write into these tensors: theirs must not
    # be inference tensors.

    def open_window(self, nbytes: int) -> None:
        """As `Backend.open_window`."""
        with torch.inference_mode(False):
            self._window = Slab(nbytes)

    def close_window(self) -> None:
        """As `Backend.close_window`."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def reservation(self, begin: int, nbytes: int) -> Tensor:
        """As `Backend.reservation`."""
        assert self._window is not None, "the window is closed"
        # frombuffer gives every reservation a storage of its own, whose count of users tells whether a view
        # of it lives on.
        with torch.inference_mode(False):
            return torch.frombuffer(self._window.view, dtype=torch.uint8, count=nbytes, offset=begin)

    def allocate(self, nbytes: int) -> Tensor:
        """As `Backend.allocate`."""
        with torch.inference_mode(False):
            return torch.empty(nbytes, dtype=torch.uint8)

    def make_carrier(self, staging_bytes: int) -> "HostCarrier":
        """As `Backend.make_carrier`."""
        return HostCarrier(self._reader, staging_bytes)

    def before_use(self, ticket: Ticket) -> None:
        """As `Backend.before_use`: nothing to do."""

    def after_use(self, ticket: Ticket) -> None:
        """As `Backend.after_use`: nothing to do."""

    def close(self) -> None:
        """As `Backend.close`."""
        self.close_window()


class HostCarrier:
    """A `Carrier` that reads in place where it can, else through its own page-aligned staging memory."""

    def __init__(self, reader: Reader, staging_bytes: int) -> None:
        self._reader = reader
        self._runs = RunReader(reader)
        self._staging = Slab(staging_bytes) if staging_bytes else None

    def carry(self, chunk: Chunk, piece: Piece, into: Tensor, ticket: Ticket | None) -> int:
        """As `Carrier.carry`."""
        if chunk.is_in_place:
            view = into.numpy().data[chunk.begin : chunk.begin + chunk.nbytes]
            self._reader.read_into(chunk.path, chunk.offset, view, needed=chunk.needed)
            return chunk.nbytes
        assert self._staging is not None, "this carrier has no staging memory"
        raw, read_bytes = self._runs.read(chunk, piece, self._staging)
        first, raw = cut_run(raw, chunk.begin, piece)
        stored = piece.weight.source.dtype
        cast(raw, stored, into[first : first + raw.numel() // stored.itemsize])
        return read_bytes

    def close(self) -> None:
        """As `Carrier.close`."""
        if self._staging is not None:
            self._staging.close()
            self._staging = None
