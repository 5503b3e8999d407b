"""Weights in main memory, read by the disk straight into the window."""

__all__ = ["HostBackend", "HostCarrier", "convert"]

import torch
from torch import Tensor

from outgrow.devices.staging import Slab
from outgrow.errors import StoreError
from outgrow.store.readers import Reader
from outgrow.stream.residency import Ticket
from outgrow.stream.weights import PAGE_BYTES, Chunk, Piece, round_up


class HostBackend:
    """A `Backend` for models that compute on the CPU."""

    name = "mmap"
    in_place = True

    def __init__(self, reader: Reader) -> None:
        """`reader` reads the checkpoint files; it belongs to whoever made it."""
        self.device = torch.device("cpu")
        self._reader = reader
        self._window: Slab | None = None

    def open_window(self, nbytes: int) -> None:
        """As `Backend.open_window`."""
        self._window = Slab(nbytes)

    def close_window(self) -> None:
        """As `Backend.close_window`."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def reservation(self, begin: int, nbytes: int) -> Tensor:
        """As `Backend.reservation`."""
        assert self._window is not None, "the window is closed"
        # frombuffer gives every reservation a storage of its own, whose count of users tells whether a view of it lives on.
        return torch.frombuffer(self._window.view, dtype=torch.uint8, count=nbytes, offset=begin)

    def allocate(self, nbytes: int) -> Tensor:
        """As `Backend.allocate`."""
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
        self._staging = Slab(staging_bytes) if staging_bytes else None

    def carry(self, chunk: Chunk, piece: Piece, into: Tensor, ticket: Ticket | None) -> int:
        """As `Carrier.carry`."""
        if not chunk.is_in_place:
            return self._carry_staged(chunk, piece, into)
        view = memoryview(into.numpy())[chunk.begin : chunk.begin + chunk.nbytes]
        self._reader.read_into(chunk.path, chunk.offset, view, needed=chunk.needed)
        return chunk.nbytes

    def _carry_staged(self, chunk: Chunk, piece: Piece, into: Tensor) -> int:
        assert self._staging is not None, "this carrier has no staging memory"
        low = chunk.offset // PAGE_BYTES * PAGE_BYTES
        lead = chunk.offset - low
        span = round_up(lead + chunk.nbytes, PAGE_BYTES)
        self._reader.read_into(chunk.path, low, self._staging.view[:span], needed=lead + chunk.nbytes)
        raw = self._staging.tensor[lead : lead + chunk.nbytes]
        if piece.weight.source.codec is not None:
            from outgrow.store.codec import decode_into

            decoded = self._staging.tensor[span : span + chunk.decoded_bytes]
            decode_into(piece.weight.source.codec, memoryview(raw.numpy()), memoryview(decoded.numpy()))
            raw = decoded
        convert(raw, chunk.begin, piece, into)
        return span

    def close(self) -> None:
        """As `Carrier.close`."""
        if self._staging is not None:
            self._staging.close()
            self._staging = None


def convert(raw: Tensor, begin: int, piece: Piece, into: Tensor) -> None:
    """Bytes of the stored dtype, shape `[bytes]`, from byte `begin` of the piece on, into its elements.

    What lies before the piece's first byte or after its last one is left out.

    Raises:
        StoreError: the run does not hold whole elements.
    """
    stored = piece.weight.source.dtype
    skip = max(0, -begin)
    raw = raw[skip : skip + piece.end - piece.begin - max(begin, 0)]
    if raw.numel() % stored.itemsize or max(begin, 0) % stored.itemsize:
        raise StoreError(f"a run of weight {piece.weight.name!r} does not hold whole {stored} elements")
    if raw.storage_offset() % stored.itemsize or raw.data_ptr() % stored.itemsize:
        raw = raw.clone()
    first = max(begin, 0) // stored.itemsize
    into[first : first + raw.numel() // stored.itemsize].copy_(raw.view(stored))
