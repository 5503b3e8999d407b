"""The device type `workers`: registered once, so that torch's own calls know it."""

__all__ = ["DEVICE", "DEVICE_TYPE", "DeviceModule", "register_device"]

import contextlib
import functools
import importlib
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.utils import backend_registration

DEVICE_TYPE = "workers"
"""Not `gt`: `torch.gt` is a comparison, and the device's module is found under `torch.<type>`."""


class DeviceModule:
    """What `torch.workers` is: the functions that torch asks every device for. All workers are one device.

    Random numbers are drawn by the CPU's generator, so its state is the device's.
    """

    def is_available(self) -> bool:
        """Always: workers are started when they are needed."""
        return True

    def is_initialized(self) -> bool:
        """Nothing needs to be prepared."""
        return True

    def device_count(self) -> int:
        """One, however many workers there are."""
        return 1

    def current_device(self) -> int:
        """The only one."""
        return 0

    def set_device(self, device: Any) -> None:
        """Nothing: there is only one."""

    def device(self, device: Any) -> AbstractContextManager[None]:
        """Nothing changes while inside."""
        return contextlib.nullcontext()

    def synchronize(self, device: Any = None) -> None:
        """Wait until the workers of the default session have done everything so far."""
        default_session = importlib.import_module("outgrow.shard.client.session").default_session
        default_session().ask("barrier")

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed(self, seed: int) -> None:
        """Nothing: the CPU's generator is seeded by the same call."""

    def manual_seed_all(self, seed: int) -> None:
        """See `manual_seed`."""

    def get_rng_state(self, device: Any = None) -> Tensor:
        """That of the CPU's generator."""
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        """Set that of the CPU's generator."""
        torch.set_rng_state(state)

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """None: autocast warns and stays off."""
        return []


@functools.cache
def register_device() -> torch.device:
    """Give torch the device type `workers`; later calls give the device again.

    Source: torch.utils.backend_registration, the Python backend of PrivateUse1 (torch >= 2.10, experimental).
    """
    backend_registration._setup_privateuseone_for_python_backend(DEVICE_TYPE, backend_module=DeviceModule())
    # Module.to would else assign to `.data`, which a tensor of another kind cannot take.
    torch.__future__.set_swap_module_params_on_conversion(True)
    return torch.device(DEVICE_TYPE, 0)


DEVICE = register_device()
