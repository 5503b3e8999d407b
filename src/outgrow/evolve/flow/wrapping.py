"""Make new layers that fit beside old ones."""

__all__ = ["draw", "layer_like", "set_mode"]

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Layer = TypeVar("Layer", bound=nn.Module)


def layer_like(like: Tensor, kind: Callable[..., Layer], *args: Any, **kwargs: Any) -> Layer:
    """A layer of torch with the dtype, device and memory format of a weight; its contents are to be filled.

    No random numbers are drawn from torch's own generators.
    """
    layer: Layer = torch.nn.utils.skip_init(  # type: ignore[no-untyped-call]
        kind, *args, **kwargs, dtype=like.dtype, device=like.device
    )
    if like.dim() == 4 and not like.is_contiguous() and like.is_contiguous(memory_format=torch.channels_last):
        layer = layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return layer


def draw(weight: Tensor, generator: torch.Generator) -> None:
    """Fill a weight with numbers from U(-b, b), b = sqrt(3 / fan in): each output has the inputs' variance.

    Drawn on the CPU in float64, so that a seed gives the same on every device.
    """
    bound = (3 / max(weight[0].numel(), 1)) ** 0.5
    numbers = torch.rand(weight.shape, generator=generator, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        weight.copy_((numbers * bound).to(weight.dtype))


def set_mode(module: nn.Module, *, like: nn.Module) -> None:
    """Put all of `module` into the mode of another one: train or eval."""
    module.train(like.training)
