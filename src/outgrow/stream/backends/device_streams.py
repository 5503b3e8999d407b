"""What streaming asks of CUDA: memory, copies on a side stream, events. Tests put a fake in its place."""

__all__ = ["CudaStreams", "DeviceStreams", "Event", "cuda_device"]

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor

from outgrow.devices.staging import Slab
from outgrow.errors import DeviceError
from outgrow.quantities import format_bytes


class Event(Protocol):
    """A point in the work of a device."""

    def synchronize(self) -> None:
        """Wait, on the host, until the device has come past it."""
        ...


class DeviceStreams(Protocol):
    """One device with two streams of work: that of whoever computes, and one for copies.

    "Compute" is the stream that is current in the calling thread. May be called from any thread.
    """

    device: torch.device
    """The device, with its index."""

    def empty(self, nbytes: int) -> Tensor:
        """Memory of the device for the compute stream, shape `[nbytes]`, uint8.

        Work queued there may still use what these bytes were before: whoever writes to them on another stream
        first waits for a `mark` set afterwards.

        Raises:
            DeviceError: the device has not that much memory.
        """
        ...

    def staging(self, nbytes: int) -> Slab:
        """Pinned main memory.

        Raises:
            DeviceError: the memory cannot be had or pinned.
        """
        ...

    def copy(self, source: Tensor, target: Tensor, after: Iterable[Event]) -> Event:
        """Queue a copy from pinned memory to the device, on the side stream, once all of `after` have come.

        Returns at once; the event is behind the copy.
        """
        ...

    def mark(self) -> Event:
        """An event behind everything queued on the compute stream."""
        ...

    def hold_compute(self, event: Event) -> None:
        """What is queued on the compute stream from now on waits for `event`."""
        ...

    def settle(self) -> None:
        """Wait, on the host, until the device has nothing to do."""
        ...


def cuda_device(device: torch.device, wanted_by: str) -> torch.device:
    """`device` with its index, if it is a CUDA device that is there.

    Raises:
        DeviceError: torch cannot use CUDA, no GPU is there, it is another kind of device, or no GPU has that
        index.
    """
    if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
        raise DeviceError(
            f"backend {wanted_by!r} needs a CUDA device, and this torch ({torch.__version__}) was built "
            "without CUDA",
            hint="install torch's CUDA build (https://pytorch.org/get-started), or leave device and backend "
            "at their defaults to compute on the CPU",
        )
    if not torch.cuda.is_available():
        raise DeviceError(
            f"backend {wanted_by!r} needs a CUDA device, and torch finds none",
            hint="see whether `nvidia-smi` lists one and CUDA_VISIBLE_DEVICES hides none; `outgrow doctor` "
            "shows what torch sees",
        )
    if device.type != "cuda":
        raise DeviceError(
            f"backend {wanted_by!r} is for models that compute on a CUDA device, not on {device}",
            hint="give device='cuda', or leave the backend at 'auto'",
        )
    index = device.index
    # torch's stubs do not know that a device may have no index.
    if index is None:
        index = torch.cuda.current_device()  # type: ignore[unreachable]
    count = torch.cuda.device_count()
    if index >= count:
        names = ", ".join(f"cuda:{one}" for one in range(count))
        raise DeviceError(f"there is no device cuda:{index}", hint=f"torch sees {names}")
    return torch.device("cuda", index)


class CudaStreams:
    """`DeviceStreams` of a CUDA device. Never run on a GPU yet."""

    def __init__(self, device: torch.device) -> None:
        """`device` as `cuda_device` gives it."""
        self.device = device
        self._side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def empty(self, nbytes: int) -> Tensor:
        """As `DeviceStreams.empty`."""
        try:
            return torch.empty(nbytes, dtype=torch.uint8, device=self.device)
        except torch.OutOfMemoryError as err:
            free, total = torch.cuda.mem_get_info(self.device)
            raise DeviceError(
                f"{self.device} has no {format_bytes(nbytes)} left for weights: {format_bytes(free)} of "
                f"{format_bytes(total)} are free",
                hint="give a smaller budget: activations and the key-value cache need room beside it; or end "
                "other programs on this GPU",
            ) from err

    def staging(self, nbytes: int) -> Slab:
        """As `DeviceStreams.staging`."""
        # Pinning makes a context on the current device, which an I/O thread has not chosen.
        with torch.cuda.device(self.device):
            return Slab(nbytes, pinned=True)

    def copy(self, source: Tensor, target: Tensor, after: Iterable[Event]) -> Event:
        """As `DeviceStreams.copy`."""
        for event in after:
            assert isinstance(event, torch.cuda.Event)
            self._side.wait_event(event)
        with torch.cuda.stream(self._side):
            target.copy_(source, non_blocking=True)
        return self._record(self._side)

    def mark(self) -> Event:
        """As `DeviceStreams.mark`."""
        return self._record(torch.cuda.current_stream(self.device))

    def hold_compute(self, event: Event) -> None:
        """As `DeviceStreams.hold_compute`."""
        assert isinstance(event, torch.cuda.Event)
        torch.cuda.current_stream(self.device).wait_event(event)

    def settle(self) -> None:
        """As `DeviceStreams.settle`."""
        torch.cuda.synchronize(self.device)

    def _record(self, stream: torch.cuda.Stream) -> torch.cuda.Event:
        # Blocking: an I/O thread that waits for one must not keep a core busy.
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(stream)
        return event
