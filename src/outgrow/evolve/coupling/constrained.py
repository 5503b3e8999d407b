"""Weights that are held to something as a whole, so that no part of them can come or go alone."""

__all__ = ["constrained_weights"]

from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.spectral_norm import SpectralNorm

_SPECTRAL = "is divided by its largest singular value (spectral norm), which any other size changes"
_PARAMETRIZATIONS: dict[type[nn.Module], str] = {
    parametrizations._SpectralNorm: _SPECTRAL,
    parametrizations._Orthogonal: "is orthogonal, which it would not be with copied units",
}


def constrained_weights(model: nn.Module) -> dict[str, str]:
    """Parameters and buffers whose size cannot change, by qualified name, with the reason.

    In eval mode such weights may look as if they could grow: what they are held to is computed in train mode
    only.
    """
    found: dict[str, str] = {}
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(module, nn.utils.parametrize.ParametrizationList):
            why = next(
                (_PARAMETRIZATIONS[type(one)] for one in module if type(one) in _PARAMETRIZATIONS), None
            )
            own = [*module.named_parameters(prefix=name), *module.named_buffers(prefix=name)]
            found |= {weight: why for weight, _ in own if why is not None}
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                found |= {f"{prefix}{hook.name}{end}": _SPECTRAL for end in ("_orig", "_u", "_v")}
    return found
