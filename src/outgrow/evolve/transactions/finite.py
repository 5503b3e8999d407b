"""Numbers that training can go on with."""

__all__ = ["NotFinite", "check_finite", "check_weights_finite"]

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError, OutgrowError

_HINT = "the change, or the learning rate, made training diverge"


class NotFinite(OutgrowError):
    """A loss, a parameter or a buffer is NaN or infinite."""


def check_finite(value: Any, name: str = "the loss") -> None:
    """See that a number, a tensor, or each in a tuple, list or mapping is finite.

    Raises:
        NotFinite: one is not.
        InputError: it is nothing of that.
    """
    if isinstance(value, Mapping):
        for key, each in value.items():
            check_finite(each, f"{name}[{key!r}]")
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            check_finite(each, f"{name}[{place}]")
    elif isinstance(value, Tensor):
        if (value.is_floating_point() or value.is_complex()) and not bool(
            torch.isfinite(value.detach()).all()
        ):
            found = f"is {float(value.detach())}" if value.numel() == 1 else "holds NaN or Inf"
            raise NotFinite(f"{name} {found}", hint=_HINT)
    elif isinstance(value, int | float):
        if not math.isfinite(value):
            raise NotFinite(f"{name} is {value}", hint=_HINT)
    else:
        raise InputError(f"{name} is a {type(value).__name__}", hint="give a number or a tensor")


def check_weights_finite(model: nn.Module) -> None:
    """See that every parameter and buffer is finite.

    Raises:
        NotFinite: one is not, named.
    """
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        check_finite(tensor, repr(name))
