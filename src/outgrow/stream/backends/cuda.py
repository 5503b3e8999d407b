"""Weights in a GPU's memory: from the disk to pinned memory, and on a side stream into the window."""

__all__ = ["STAGED_CHUNK_BYTES", "CudaBackend", "CudaCarrier"]

import torch
from torch import Tensor

from outgrow.devices.staging import Slab
from outgrow.store.readers import Reader
from outgrow.stream.backends.device_streams import CudaStreams, DeviceStreams, Event, cuda_device
from outgrow.stream.backends.device_window import DeviceWindow
from outgrow.stream.backends.staged import RunReader, cast, cut_run
from outgrow.stream.residency import Ticket
from outgrow.stream.weights import Chunk, Piece

STAGED_CHUNK_BYTES = 4 << 20
"""One read from the disk and one copy to the device, at most."""
AREAS = 2
"""Staging areas of one thread: while one is copied to the device, the disk fills the other."""


class CudaBackend:
    """A `Backend` for models that compute on a CUDA device. Never run on a GPU yet.

    Who waits for what, all on the device and none of it on the thread that runs the model:

    - a copy into the window waits for the last use of the bytes that it overwrites (`DeviceWindow.marks`);
    - a module waits for the copies of its weights (`Ticket.payload["copies"]`);
    - an I/O thread waits, on the host, before it reads into a staging area whose copy is not over.
    """

    name = "cuda"
    in_place = False
    staged_chunk_bytes: int | None = STAGED_CHUNK_BYTES

    def __init__(self, device: torch.device, reader: Reader, *, streams: DeviceStreams | None = None) -> None:
        """`reader` reads the checkpoint files; it belongs to whoever made it. `streams` are for tests.

        Raises:
            DeviceError: `device` is no CUDA device that is there.
        """
        self.streams = streams or CudaStreams(cuda_device(device, self.name))
        self.device = self.streams.device
        self.window: DeviceWindow | None = None
        """The window, while it is open."""
        self._reader = reader
        self._allocated: Event | None = None

    @property
    def allocated(self) -> Event | None:
        """What must be over before memory from `allocate` is written on the side stream."""
        return self._allocated

    def open_window(self, nbytes: int) -> None:
        """As `Backend.open_window`."""
        self.window = DeviceWindow(self.streams, nbytes)

    def close_window(self) -> None:
        """As `Backend.close_window`: waits for the device."""
        if self.window is not None:
            # Copies may be on their way on the side stream, of which torch's allocator knows nothing.
            self.streams.settle()
            self.window = None

    def reservation(self, begin: int, nbytes: int) -> Tensor:
        """As `Backend.reservation`."""
        assert self.window is not None, "the window is closed"
        return self.window.reservation(begin, nbytes)

    def allocate(self, nbytes: int) -> Tensor:
        """As `Backend.allocate`."""
        with torch.inference_mode(False):
            memory = self.streams.empty(nbytes)
        self._allocated = self.streams.mark()
        return memory

    def make_carrier(self, staging_bytes: int) -> "CudaCarrier":
        """As `Backend.make_carrier`: takes `AREAS` times as much pinned memory."""
        return CudaCarrier(self, self._reader, staging_bytes)

    def before_use(self, ticket: Ticket) -> None:
        """As `Backend.before_use`."""
        for event in copies_of(ticket):
            self.streams.hold_compute(event)

    def after_use(self, ticket: Ticket) -> None:
        """As `Backend.after_use`."""
        if self.window is not None:
            self.window.marks.note(*span_of(ticket), self.streams.mark())

    def close(self) -> None:
        """As `Backend.close`."""
        self.close_window()
        self._allocated = None


class _Area:
    """Pinned memory that one chunk at a time passes through."""

    def __init__(self, streams: DeviceStreams, nbytes: int) -> None:
        self._streams = streams
        self.slab = streams.staging(nbytes)
        self.copied: Event | None = None
        """Behind the last copy out of it."""
        self._cast: Slab | None = None

    def wait(self) -> None:
        """Until it may be written to."""
        if self.copied is not None:
            self.copied.synchronize()
            self.copied = None

    def cast_to(self, raw: Tensor, stored: torch.dtype, wanted: torch.dtype) -> Tensor:
        """Bytes of dtype `stored` as bytes of dtype `wanted`, in pinned memory beside the area."""
        nbytes = raw.numel() // stored.itemsize * wanted.itemsize
        if self._cast is None or self._cast.nbytes < nbytes:
            if self._cast is not None:
                self._cast.close()
            self._cast = self._streams.staging(nbytes)
        result = self._cast.tensor[:nbytes]
        cast(raw, stored, result.view(wanted))
        return result

    def close(self) -> None:
        self.wait()
        self.slab.close()
        if self._cast is not None:
            self._cast.close()


class CudaCarrier:
    """A `Carrier` that reads, decodes and casts in pinned memory and leaves the copy to the side stream."""

    def __init__(self, backend: CudaBackend, reader: Reader, staging_bytes: int) -> None:
        """`staging_bytes` for each of the areas; 0 where nothing will be staged."""
        self._backend = backend
        self._runs = RunReader(reader)
        self._areas: list[_Area] = []
        try:
            for _ in range(AREAS if staging_bytes else 0):
                self._areas.append(_Area(backend.streams, staging_bytes))
        except BaseException:
            self.close()
            raise
        self._next = 0

    def carry(self, chunk: Chunk, piece: Piece, into: Tensor, ticket: Ticket | None) -> int:
        """As `Carrier.carry`."""
        assert not chunk.is_in_place, "the disk cannot write to this window"
        area = self._areas[self._next]
        self._next = (self._next + 1) % len(self._areas)
        area.wait()
        raw, read_bytes = self._runs.read(chunk, piece, area.slab)
        first, raw = cut_run(raw, chunk.begin, piece)
        stored, wanted = piece.weight.source.dtype, piece.weight.dtype
        if stored != wanted:
            raw = area.cast_to(raw, stored, wanted)
        begin = first * wanted.itemsize
        target = into.view(torch.uint8)[begin : begin + raw.numel()]
        if ticket is None:
            allocated = self._backend.allocated
            area.copied = self._backend.streams.copy(raw, target, () if allocated is None else (allocated,))
            area.wait()
            return read_bytes
        window = self._backend.window
        assert window is not None, "the window is closed"
        after = window.marks.within(*span_of(ticket))
        area.copied = event = self._backend.streams.copy(raw, target, after)
        # Noted also as a mark: should nobody use the piece, what comes next to these bytes waits for the
        # copy.
        low = ticket.begin + begin
        window.marks.note(low, low + raw.numel(), event)
        copies = ticket.payload.setdefault("copies", [])
        assert isinstance(copies, list)
        copies.append(event)
        return read_bytes

    def close(self) -> None:
        """As `Carrier.close`: waits until nothing is copied out of its memory."""
        while self._areas:
            self._areas.pop().close()


def copies_of(ticket: Ticket) -> list[Event]:
    """Events behind the copies that bring a ticket's bytes."""
    copies = ticket.payload.get("copies", [])
    assert isinstance(copies, list)
    return copies


def span_of(ticket: Ticket) -> tuple[int, int]:
    """Begin and end of a ticket's bytes in the window."""
    reservation = ticket.payload["reservation"]
    assert isinstance(reservation, Tensor)
    return ticket.begin, ticket.begin + reservation.numel()
