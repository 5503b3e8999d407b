"""What a new unit's weights begin as, where they are not copies: as the layer's own initialisation has it."""

__all__ = ["fresh_slices"]

from math import prod

import torch
from torch import Tensor, nn

from outgrow.evolve.surgery.layer_attributes import weight_of

_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)
_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
_NEUTRAL = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}


def fresh_slices(
    module: nn.Module, attribute: str, dim: int, count: int, *, generator: torch.Generator
) -> Tensor | None:
    """`count` new indices along `dim` of a parameter or buffer, in its dtype and on its device.

    `Linear` and convolutions draw from U(-b, b), b = 1 / sqrt(fan in), as torch's `reset_parameters` does;
    `Embedding` from N(0, 1); torch's normalisations begin neutral (1, 0, running mean 0, running variance 1).
    Of any other module, matrices draw from N(0, mean square of what is there) and vectors begin at the mean
    of what is there. None for a buffer of such a module: nobody can say what a new entry means there.
    """
    tensor: Tensor | None = module._parameters.get(attribute)
    is_buffer = tensor is None
    if tensor is None:
        tensor = module._buffers[attribute]
    assert tensor is not None
    shape = list(tensor.shape)
    shape[dim] = count
    if isinstance(module, _NORMS) and attribute in _NEUTRAL:
        return tensor.new_full(shape, _NEUTRAL[attribute])
    if is_buffer:
        return None
    if isinstance(module, _LAYERS) and attribute in ("weight", "bias"):
        bound = 1 / max(prod(weight_of(module).shape[1:]), 1) ** 0.5
        return _uniform(tensor, shape, bound, generator)
    if isinstance(module, nn.Embedding):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(tensor)
    known = tensor.detach().double()
    if tensor.dim() == 1:
        return tensor.new_full(shape, float(known.mean()))
    spread = float(known.square().mean().sqrt())
    if spread == 0.0:  # a unit that is zero on both sides would never learn
        return _uniform(tensor, shape, 1 / (tensor.numel() // tensor.shape[dim]) ** 0.5, generator)
    return (torch.randn(shape, generator=generator, dtype=torch.float64) * spread).to(tensor)


def _uniform(tensor: Tensor, shape: list[int], bound: float, generator: torch.Generator) -> Tensor:
    drawn = torch.rand(shape, generator=generator, dtype=torch.float64)
    return ((2 * drawn - 1) * bound).to(dtype=tensor.dtype, device=tensor.device)
