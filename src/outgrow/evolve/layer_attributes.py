"""The sizes that torch's own layers keep beside their weights."""

__all__ = ["refresh_attributes"]

from typing import Any

from torch import nn

from outgrow.evolve.surgery import Surgery


def refresh_attributes(surgery: Surgery, module: nn.Module) -> None:
    """Make what a layer says of itself agree with the shapes of its weights."""
    for attribute, value in _sizes(module).items():
        if getattr(module, attribute) != value:
            surgery.assign(module, attribute, value)


def _sizes(module: nn.Module) -> dict[str, Any]:
    weight = getattr(module, "weight", None)
    if weight is None:
        return {}
    shape = tuple(weight.shape)
    if isinstance(module, nn.Linear):
        return {"in_features": shape[1], "out_features": shape[0]}
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return {"in_channels": shape[0], "out_channels": shape[1] * module.groups}
    if isinstance(module, nn.modules.conv._ConvNd):
        return {"in_channels": shape[1] * module.groups, "out_channels": shape[0]}
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return {"num_features": shape[0]}
    if isinstance(module, nn.GroupNorm):
        return {"num_channels": shape[0]}
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return {"normalized_shape": shape}
    if isinstance(module, nn.Embedding):
        return {"num_embeddings": shape[0], "embedding_dim": shape[1]}
    if type(module).__name__ == "Conv1D" and hasattr(module, "nf"):
        return {"nx": shape[0], "nf": shape[1]}
    return {}
