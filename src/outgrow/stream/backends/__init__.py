"""Backends by name, and the choice among them."""

__all__ = ["BACKENDS", "Backend", "make_backend"]

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from outgrow.errors import DeviceError
from outgrow.store.readers import Reader
from outgrow.stream.backends.backend import Backend
from outgrow.stream.backends.choice import choose_for_gpu
from outgrow.stream.backends.cuda import CudaBackend
from outgrow.stream.backends.device_streams import cuda_device
from outgrow.stream.backends.gpudirect import GpuDirectBackend
from outgrow.stream.backends.host import HostBackend
from outgrow.stream.config import BackendType

_log = logging.getLogger(__name__)


def _host(device: torch.device, reader: Reader) -> Backend:
    if device.type != "cpu":
        raise DeviceError(
            f"backend 'mmap' keeps weights in main memory and cannot work on {device}",
            hint="leave the backend at 'auto', or give 'cuda'",
        )
    return HostBackend(reader)


BACKENDS: Mapping[str, Callable[[torch.device, Reader], Backend]] = {
    "mmap": _host,
    "cuda": CudaBackend,
    "gpudirect": GpuDirectBackend,
}
"""Backends by the name that `Config.backend` has for them, beside `auto`."""


def make_backend(
    kind: BackendType | str, device: torch.device, reader: Reader, probe_path: Path | None = None
) -> Backend:
    """The backend called `kind`, for a model that computes on `device`.

    AUTO goes by the device: `mmap` on the CPU, on a CUDA device `cuda`, or `gpudirect` where reading
    `probe_path`, one of the files to come, is faster by it. What AUTO took and why goes to the log
    (`outgrow.stream.backends`). A backend that is asked for by name is that one or an error, never another.

    Raises:
        DeviceError: it cannot work on that device or on this machine.
    """
    name = kind.value if isinstance(kind, BackendType) else kind
    if name == BackendType.AUTO.value:
        name = _choose(device, reader, probe_path)
    return BACKENDS[name](device, reader)


def _choose(device: torch.device, reader: Reader, probe_path: Path | None) -> str:
    if device.type == "cpu":
        return "mmap"
    if device.type != "cuda":
        raise DeviceError(
            f"weights cannot be streamed to device {device}",
            hint="choose 'cpu', or 'cuda' with an NVIDIA GPU",
        )
    device = cuda_device(device, "cuda")
    choice = choose_for_gpu(probe_path, lambda name: BACKENDS[name](device, reader))
    _log.info("backend %r for %s: %s", choice.name, device, choice.reason)
    return choice.name
