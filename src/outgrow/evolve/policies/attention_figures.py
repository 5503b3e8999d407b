"""What the learned policy sees of a model: a few figures of each layer, from one batch."""

__all__ = ["LayerFigures", "layer_figures"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.evolve.batches import Batch, Objective, own_loss
from outgrow.evolve.edits.outputs import output_tensors
from outgrow.evolve.transactions.undisturbed import undisturbed

_SAMPLED_UNITS = 256
_SAMPLED_POSITIONS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFigures:
    """One layer that holds a matrix of weights."""

    name: str
    """Qualified name of the module."""
    kind: str
    """`convolution`, `attention` or `linear`."""
    width: int
    """Channels of its output."""
    parameters: int
    """Elements of its own parameters."""
    macs: float
    """Multiply-adds of one sample."""
    gradient: float
    """Norm of the loss's gradient over the norm of the weight: how hard the layer is being pulled."""
    redundancy: float
    """Mean over channels of the largest absolute correlation with another channel of the layer, 0 to 1."""
    is_frozen: bool = False
    """Whether none of its parameters is trained."""


def layer_figures(
    model: nn.Module, batch: Batch, objective: Objective = own_loss
) -> tuple[LayerFigures, ...]:
    """Measure every layer that holds a matrix, in the order in which they ran first.

    One forward and one backward pass of `batch` in eval mode; the model is left as it was. A layer that did
    not run is left out. Redundancy is computed on at most 256 channels and 4,096 positions of each layer.
    """
    names = {module: name for name, module in model.named_modules() if _is_layer(module)}
    seen: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _: Any, output: Any) -> None:
        tensors = list(output_tensors(output).values())
        if module not in seen and tensors:
            seen[module] = tensors[0].detach()

    hooks = [module.register_forward_hook(keep) for module in names]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        with undisturbed(model), torch.enable_grad():
            model.eval()
            loss = objective(model, batch)
            found = torch.autograd.grad(loss, trained, allow_unused=True) if trained else ()
    finally:
        for hook in hooks:
            hook.remove()
    gradients = dict(zip(map(id, trained), found, strict=True))
    return tuple(_figures(names[module], module, output, gradients) for module, output in seen.items())


def _is_layer(module: nn.Module) -> bool:
    if isinstance(module, nn.MultiheadAttention):
        return True
    weight = module._parameters.get("weight")
    return weight is not None and weight.dim() >= 2 and not isinstance(module, nn.Embedding)


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.MultiheadAttention):
        return "attention"
    weight = module._parameters["weight"]
    return "convolution" if weight is not None and weight.dim() > 2 else "linear"


def _figures(
    name: str, module: nn.Module, output: Tensor, gradients: Mapping[int, Tensor | None]
) -> LayerFigures:
    own = list(module.parameters())
    kind = _kind(module)
    channels = output.movedim(1, -1) if kind == "convolution" and output.dim() > 2 else output
    width = channels.shape[-1]
    pulled = [gradients.get(id(one)) for one in own]
    pull = sum(float(one.double().square().sum()) for one in pulled if one is not None)
    size = sum(float(one.detach().double().square().sum()) for one in own)
    positions = channels.numel() / max(1, width * channels.shape[0])
    matrices = sum(one.numel() for one in own if one.dim() >= 2)
    return LayerFigures(
        name=name,
        kind=kind,
        width=width,
        parameters=sum(one.numel() for one in own),
        macs=positions * matrices,
        gradient=(pull / size) ** 0.5 if size else 0.0,
        redundancy=_redundancy(channels.flatten(0, -2)),
        is_frozen=not any(one.requires_grad for one in own),
    )


def _redundancy(channels: Tensor) -> float:
    """Mean of the largest absolute correlations, `channels` being `[positions, width]`."""
    stride = -(-channels.shape[0] // _SAMPLED_POSITIONS)
    values = channels[::stride, :_SAMPLED_UNITS].double()
    values = values - values.mean(0)
    values = values / values.norm(dim=0).clamp_min(1e-12)
    if values.shape[1] < 2:
        return 0.0
    alike = (values.T @ values).abs()
    alike.fill_diagonal_(0)
    return float(alike.max(1).values.mean().clamp(0, 1))
