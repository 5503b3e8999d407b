"""Backends by name, and the choice among them."""

__all__ = ["Backend", "make_backend"]

import torch

from outgrow.errors import DeviceError
from outgrow.store.readers import Reader
from outgrow.stream.backends.backend import Backend
from outgrow.stream.backends.host import HostBackend
from outgrow.stream.config import BackendType


def make_backend(kind: BackendType | str, device: torch.device, reader: Reader) -> Backend:
    """The backend called `kind`; AUTO goes by the device that computes.

    Raises:
        DeviceError: it cannot work on that device.
    """
    if kind in (BackendType.AUTO, BackendType.MMAP) and device.type == "cpu":
        return HostBackend(reader)
    raise DeviceError(f"backend {kind} cannot work on device {device}")
