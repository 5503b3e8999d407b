"""The sizes that torch's own layers keep beside their weights."""

__all__ = ["known_sizes", "refresh_attributes", "resize_attributes", "weight_of"]

import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from outgrow.evolve.sites.site import SizeAttribute
from outgrow.evolve.surgery.surgery import Surgery
from outgrow.evolve.transactions.undisturbed import undisturbed


def refresh_attributes(surgery: Surgery, module: nn.Module) -> None:
    """Make what a layer says of itself agree with the shapes of its weights."""
    for attribute, value in known_sizes(module).items():
        if getattr(module, attribute) != value:
            surgery.assign(module, attribute, value)


def resize_attributes(surgery: Surgery, attributes: Iterable[SizeAttribute], units: int) -> None:
    """Give the numbers that modules compute with the values that belong to a site of `units` units."""
    for attribute in attributes:
        holder: Any = surgery.model.get_submodule(attribute.module)
        *owners, last = attribute.path.split(".")
        for owner in owners:
            holder = getattr(holder, owner)
        name, places = _indexed(last)
        value = attribute.units * units + attribute.constant
        surgery.assign(holder, name, _with_item(getattr(holder, name), places, value))


def _indexed(path: str) -> tuple[str, list[int]]:
    """`sizes[1][0]` as `sizes` and `[1, 0]`."""
    name, *places = re.split(r"[\[\]]+", path)
    return name, [int(place) for place in places if place]


def _with_item(value: Any, places: list[int], item: int) -> Any:
    """`value`, a new one where it is a tuple or a list, with `item` at `places`."""
    if not places:
        return item
    items = list(value)
    items[places[0]] = _with_item(items[places[0]], places[1:], item)
    return tuple(items) if isinstance(value, tuple) else items


def known_sizes(module: nn.Module) -> dict[str, Any]:
    """The sizes that a layer of torch keeps, by attribute, as its weights say them; empty for others."""
    weight = weight_of(module)
    if not isinstance(weight, Tensor):  # a list of parametrizations has parts of this name
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


def weight_of(module: nn.Module) -> Any:
    """The weight of a module, also where it is computed; None where it has none. Nothing changes by it."""
    if not is_parametrized(module, "weight"):
        return getattr(module, "weight", None)
    # Computed each time it is asked for, and in train mode some of them learn from that (spectral norm).
    computed: Any = module.parametrizations
    parts = computed["weight"]
    with undisturbed(parts), torch.no_grad():
        return parts.eval()()
