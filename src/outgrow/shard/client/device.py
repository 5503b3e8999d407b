"""The device type `workers`: registered once, so that torch's own calls know it."""

__all__ = ["DEVICE", "DEVICE_TYPE", "register_device"]

import functools

import torch
from torch.utils import backend_registration

DEVICE_TYPE = "workers"
"""Not `gt`: `torch.gt` is a comparison, and the device's module is found under `torch.<type>`."""


@functools.cache
def register_device() -> torch.device:
    """Give torch the device type `workers`; later calls give the device again.

    Source: torch.utils.backend_registration, the Python backend of PrivateUse1 (torch >= 2.10, experimental).
    """
    backend_registration._setup_privateuseone_for_python_backend(DEVICE_TYPE)  # type: ignore[no-untyped-call]
    # Module.to would else assign to `.data`, which a tensor of another kind cannot take.
    torch.__future__.set_swap_module_params_on_conversion(True)
    return torch.device(DEVICE_TYPE, 0)


DEVICE = register_device()
