"""Modules that normalise: which statistic, which weight and which epsilon they use, found by trying them."""

__all__ = ["Norm", "NormKind", "recognise_norm"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

NormKind = Literal["mean", "rms", "rms_plus_one", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """A module that computes a statistic along an extent."""

    module: str
    """Qualified name; empty for the model itself."""
    kind: NormKind
    """`rms`: `x / sqrt(mean(x^2) + eps) * weight`, and `rms_plus_one`, with `1 + weight` for the weight: they
    can be padded. `mean`: any other statistic that stays the same once every index is there equally often
    (LayerNorm, GroupNorm, means, maxima). `other`: sums, softmax, whatever is none of these."""
    weight: str | None = None
    """For `rms` and `rms_plus_one`: the qualified name of the parameter."""
    eps_attribute: str | None = None
    """For these: the attribute of the module that holds epsilon."""
    eps: float = 0.0
    """For these: its value; where the attribute is None, what torch takes then."""


_MEANS = frozenset(
    {
        "native_layer_norm",
        "native_group_norm",
        "_fused_rms_norm",
        "mean",
        "amax",
        "amin",
        "max",
        "min",
        "any",
        "all",
    }
)
"""Ops whose result does not change when every index is there twice."""


def recognise_norm(name: str, module: nn.Module, ops: set[str]) -> Norm:
    """What a module computes that was seen to call the reductions `ops`; it is called on small tensors."""
    if not ops <= _MEANS:
        return Norm(module=name, kind="other")
    found = _recognise_rms(name, module) if ops <= {"mean", "_fused_rms_norm"} else None
    return found or Norm(module=name, kind="mean")


def _recognise_rms(name: str, module: nn.Module) -> Norm | None:
    parameters = dict(module.named_parameters())
    if len(parameters) != 1 or list(module.children()):
        return None
    ((own_name, weight),) = parameters.items()
    if weight.dim() != 1 or weight.is_meta or not weight.is_floating_point():
        return None
    scales: dict[NormKind, Callable[[Tensor], Tensor]] = {
        "rms": lambda given: given,
        "rms_plus_one": lambda given: 1 + given,
    }
    for attribute, eps in _epsilons(module, weight.dtype).items():
        for kind, scale in scales.items():
            if _behaves_so(module, weight.detach(), eps, scale):
                own = f"{name}.{own_name}" if name else own_name
                return Norm(module=name, kind=kind, weight=own, eps_attribute=attribute, eps=eps)
    return None


def _epsilons(module: nn.Module, dtype: torch.dtype) -> dict[str, float]:
    found = {}
    for attribute, value in vars(module).items():
        if isinstance(value, float):
            found[attribute] = value
        elif value is None and "eps" in attribute:
            found[attribute] = torch.finfo(dtype).eps
    return found


def _behaves_so(module: nn.Module, weight: Tensor, eps: float, scale: Callable[[Tensor], Tensor]) -> bool:
    generator = torch.Generator().manual_seed(0)
    size = weight.shape[0]
    # One row is small, so that epsilon counts; the rows are uneven, so that subtracting a mean would show.
    rows = torch.rand(3, size, generator=generator, dtype=torch.float64) + 0.1
    rows *= torch.tensor([[1.0], [30.0], [max(eps, 1e-12) ** 0.5]], dtype=torch.float64)
    inputs = rows.to(weight)
    with torch.no_grad():
        try:
            given = module.forward(inputs)  # without the hooks of users
        except (RuntimeError, TypeError, ValueError):
            return False
    if not isinstance(given, Tensor) or given.shape != inputs.shape:
        return False
    wide = inputs.double()
    expected = wide * (wide.pow(2).mean(-1, keepdim=True) + eps).rsqrt() * scale(weight.double())
    tolerance = 8 * max(torch.finfo(weight.dtype).eps, torch.finfo(torch.float32).eps)
    return bool(torch.allclose(given.double(), expected, rtol=tolerance, atol=tolerance * 1e-3))
