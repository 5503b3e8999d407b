"""The window in a device's memory, and what must be over before its bytes may be written again."""

__all__ = ["DeviceWindow", "Marks"]

import threading

import torch
from torch import Tensor
from torch.utils import dlpack

from outgrow.stream.backends.device_streams import DeviceStreams, Event
from outgrow.stream.weights import PAGE_BYTES


class Marks:
    """Events by the bytes whose use they end: each byte has those after which it may be written. Any thread
    may ask.

    By bytes, not one event for the whole window: a model's thread queues work far ahead of the device, and a
    copy that waited for the newest of it would wait for everything.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[tuple[int, int, Event]] = []

    def note(self, begin: int, end: int, event: Event) -> None:
        """Bytes `begin:end` are free after `event`, which comes after whatever was noted for them before."""
        with self._lock:
            entries = []
            for low, high, older in self._entries:
                if low < begin:
                    entries.append((low, min(high, begin), older))
                if high > end:
                    entries.append((max(low, end), high, older))
            entries.append((begin, end, event))
            self._entries = entries

    def within(self, begin: int, end: int) -> list[Event]:
        """All that must be over before bytes `begin:end` are written, each once."""
        with self._lock:
            found = {id(event): event for low, high, event in self._entries if low < end and begin < high}
        return list(found.values())


class DeviceWindow:
    """`nbytes` bytes of device memory that begin at a page's boundary."""

    def __init__(self, streams: DeviceStreams, nbytes: int) -> None:
        """Allocate it.

        Raises:
            DeviceError: the device has not that much memory.
        """
        self.marks = Marks()
        with torch.inference_mode(False):
            memory = streams.empty(nbytes)
            skip = -memory.data_ptr() % PAGE_BYTES
            if skip:
                # Only what the disk writes straight to the device needs it; torch aligns to 512 bytes.
                memory = streams.empty(nbytes + PAGE_BYTES)
                skip = -memory.data_ptr() % PAGE_BYTES
            self.memory = memory[skip : skip + nbytes]
        self.marks.note(0, nbytes, streams.mark())

    def reservation(self, begin: int, nbytes: int) -> Tensor:
        """As `Backend.reservation`."""
        # Through DLPack a view gets a storage of its own, which keeps the window alive. Views of one storage
        # would share one count of users.
        with torch.inference_mode(False):
            return dlpack.from_dlpack(dlpack.to_dlpack(self.memory[begin : begin + nbytes]))  # type: ignore[attr-defined]
