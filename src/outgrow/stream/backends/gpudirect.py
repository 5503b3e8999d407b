"""Weights in a GPU's memory, written there by the disk: GPUDirect Storage, through kvikio and cuFile."""

__all__ = ["DeviceFiles", "DeviceReader", "GpuDirectBackend", "GpuDirectCarrier", "check_gpudirect"]

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from outgrow.devices.gpudirect import GpuDirectState, gpudirect_state
from outgrow.errors import DeviceError, StoreError
from outgrow.store.readers import Reader
from outgrow.stream.backends.cuda import CudaBackend, CudaCarrier, span_of
from outgrow.stream.backends.device_streams import DeviceStreams, cuda_device
from outgrow.stream.residency import Ticket
from outgrow.stream.weights import Chunk, Piece


class DeviceReader(Protocol):
    """Reads ranges of files into device memory. Safe to call from several threads at once."""

    def read_into(self, path: Path, offset: int, into: Tensor, *, needed: int) -> int:
        """As `Reader.read_into`, with `into` on the device, shape `[bytes]`, uint8, filled on return."""
        ...

    def close(self) -> None:
        """Close every file; may be called twice."""
        ...


class GpuDirectBackend:
    """A `Backend` into whose window the disk writes. Never run on a GPU yet.

    Weights that must be decoded or cast, that are small, or that stay in memory for good come through pinned
    memory, as with `CudaBackend`: the disk cannot change bytes on the way. Nothing else does: where cuFile
    cannot reach a file, reading it is an error.

    The disk knows nothing of streams. An I/O thread therefore waits, on the host, until the last use of the
    bytes is over before it lets the disk overwrite them. kvikio itself also waits for CUDA's default stream
    before each read, so that reading and computing overlap only where the model computes on another stream.
    """

    name = "gpudirect"
    in_place = True

    def __init__(
        self,
        device: torch.device,
        reader: Reader,
        *,
        streams: DeviceStreams | None = None,
        files: DeviceReader | None = None,
    ) -> None:
        """`reader` reads what is staged; it belongs to whoever made it. `streams` and `files` are for tests.

        Raises:
            DeviceError: `device` is no CUDA device that is there, or GPUDirect does not work on this machine.
        """
        if files is None:
            device = cuda_device(device, self.name)
            check_gpudirect()
        self._staged = CudaBackend(device, reader, streams=streams)
        self._files = files or DeviceFiles(device)
        self.device = self._staged.device
        self.staged_chunk_bytes = self._staged.staged_chunk_bytes

    def open_window(self, nbytes: int) -> None:
        """As `Backend.open_window`."""
        self._staged.open_window(nbytes)

    def close_window(self) -> None:
        """As `Backend.close_window`: waits for the device."""
        self._staged.close_window()

    def reservation(self, begin: int, nbytes: int) -> Tensor:
        """As `Backend.reservation`."""
        return self._staged.reservation(begin, nbytes)

    def allocate(self, nbytes: int) -> Tensor:
        """As `Backend.allocate`."""
        return self._staged.allocate(nbytes)

    def make_carrier(self, staging_bytes: int) -> "GpuDirectCarrier":
        """As `Backend.make_carrier`."""
        return GpuDirectCarrier(self._staged, self._files, self._staged.make_carrier(staging_bytes))

    def before_use(self, ticket: Ticket) -> None:
        """As `Backend.before_use`: what the disk wrote is there already."""
        self._staged.before_use(ticket)

    def after_use(self, ticket: Ticket) -> None:
        """As `Backend.after_use`."""
        self._staged.after_use(ticket)

    def close(self) -> None:
        """As `Backend.close`."""
        self._staged.close()
        self._files.close()


class GpuDirectCarrier:
    """A `Carrier` that lets the disk write in place, and leaves the rest to a `CudaCarrier`."""

    def __init__(self, backend: CudaBackend, files: DeviceReader, staged: CudaCarrier) -> None:
        self._backend = backend
        self._files = files
        self._staged = staged

    def carry(self, chunk: Chunk, piece: Piece, into: Tensor, ticket: Ticket | None) -> int:
        """As `Carrier.carry`."""
        if not chunk.is_in_place:
            return self._staged.carry(chunk, piece, into, ticket)
        assert ticket is not None, "memory outside of the window is filled through staging memory"
        window = self._backend.window
        assert window is not None, "the window is closed"
        for event in window.marks.within(*span_of(ticket)):
            event.synchronize()
        target = into[chunk.begin : chunk.begin + chunk.nbytes]
        self._files.read_into(chunk.path, chunk.offset, target, needed=chunk.needed)
        return chunk.nbytes

    def close(self) -> None:
        """As `Carrier.close`."""
        self._staged.close()


def check_gpudirect(probe: Callable[[], GpuDirectState] = gpudirect_state) -> None:
    """Raise unless reads would go from the disk to the GPU without a stop in main memory.

    Raises:
        DeviceError: they would not; the message says why.
    """
    state = probe()
    if not state.is_usable:
        raise DeviceError(
            f"GPUDirect does not work here: {state.reason}",
            hint="it needs `pip install 'outgrow[gds]'`, NVIDIA's nvidia-fs driver, and ext4 or XFS on a "
            "local NVMe disk; backend='cuda' works without these",
        )


class DeviceFiles:
    """A `DeviceReader` on kvikio. Never run on a GPU yet.

    Offset, address and length should be multiples of 4096: cuFile reads what is not through a buffer of its
    own.
    """

    def __init__(self, device: torch.device, kvikio: Any = None) -> None:
        """`kvikio` is the module; tests give another.

        Raises:
            DeviceError: kvikio is not installed.
        """
        self._device = device
        self._kvikio = _import_kvikio() if kvikio is None else kvikio
        self._lock = threading.Lock()
        self._files: dict[Path, Any] = {}

    def read_into(self, path: Path, offset: int, into: Tensor, *, needed: int) -> int:
        """As `DeviceReader.read_into`.

        Raises:
            DeviceError: cuFile cannot read files of this file system.
            StoreError: the file cannot be read, or ends too early.
        """
        file = self._open(path)
        done = 0
        with self._current():
            while done < needed:
                try:
                    came = int(file.raw_read(into[done:], into.numel() - done, offset + done, 0))
                except (OSError, RuntimeError) as err:
                    raise StoreError(
                        f"reading {str(path)!r} at byte {offset + done:,} through GPUDirect failed: {err}",
                        hint="cufile.log has more; backend='cuda' reads through main memory",
                    ) from err
                if came <= 0:
                    raise StoreError(
                        f"{str(path)!r} ended at byte {offset + done:,}: expected {needed:,} bytes from byte "
                        f"{offset:,}, found {done:,}",
                        hint=f"it was cut short; run `outgrow store verify {path.parent}` to list all damage",
                    )
                done += came
        return done

    def close(self) -> None:
        """As `DeviceReader.close`."""
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()

    def _current(self) -> AbstractContextManager[object]:
        # cuFile works on the thread's current device, which an I/O thread has not chosen.
        return torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()

    def _open(self, path: Path) -> Any:
        with self._lock:
            file = self._files.get(path)
            if file is None:
                kvikio = self._kvikio
                try:
                    # In its AUTO mode kvikio would quietly read through main memory where cuFile refuses a
                    # file.
                    with kvikio.defaults.set("compat_mode", kvikio.CompatMode.OFF):
                        file = kvikio.CuFile(path, "r")
                except (OSError, RuntimeError) as err:
                    raise DeviceError(
                        f"GPUDirect cannot open {str(path)!r}: {err}",
                        hint="its file system may not support it (ext4 and XFS on local NVMe disks do); use "
                        "backend='cuda'",
                    ) from err
                self._files[path] = file
            return file


def _import_kvikio() -> Any:
    try:
        import kvikio  # type: ignore[import-not-found,unused-ignore]
        import kvikio.defaults  # type: ignore[import-not-found,unused-ignore]
    except ImportError as err:
        raise DeviceError(
            "backend 'gpudirect' needs kvikio, which cannot be imported here",
            hint="pip install 'outgrow[gds]' (Linux only), or use backend='cuda'",
        ) from err
    return kvikio
