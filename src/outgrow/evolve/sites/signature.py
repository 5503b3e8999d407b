"""Which places of a model are alike, so that trying some of them says what the others do."""

__all__ = ["moved", "signature"]

from collections.abc import Iterable
from dataclasses import replace

from torch import nn

from outgrow.evolve.coupling.coupling import Coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.module_tree import encloses
from outgrow.evolve.sites.site import Site, SizeAttribute


def signature(model: nn.Module, site: Site, coupling: Coupling, leaf: Extent) -> object:
    """Equal for places that hang together in the same way in modules of the same classes."""
    classes = {name: type(module) for name, module in model.named_modules()}
    tensors = coupling.tensors()
    return (
        leaf.size,
        site.step,
        site.methods,
        tuple(
            (
                tuple(classes[name] for name in _ancestors(one.weight)),
                one.weight.rpartition(".")[2],
                tuple(tensors[one.weight].shape),
                one.dim,
                one.role,
                _structure(coupling.weights[one.weight][one.dim], leaf),
            )
            for one in site.coupled
        ),
        tuple((norm.kind, classes[norm.module]) for norm in coupling.norms(leaf)),
    )


def _ancestors(weight: str) -> list[str]:
    parts = weight.split(".")[:-1]
    return [".".join(parts[:count]) for count in range(len(parts) + 1)]


def _structure(extent: Extent, leaf: Extent) -> object:
    found = extent.find()
    if found is leaf:
        return "leaf"
    return (found.shape, found.size, tuple(_structure(part, leaf) for part in found.parts))


def moved(attributes: Iterable[SizeAttribute], site: Site, other: Site) -> tuple[SizeAttribute, ...]:
    """The attributes that belong to `other`, where those of `site`, which is like it, are known."""
    return tuple(
        replace(attribute, module=_moved_name(attribute.module, site, other)) for attribute in attributes
    )


def _moved_name(name: str, site: Site, other: Site) -> str:
    for mine, theirs in zip(site.coupled, other.coupled, strict=True):
        if encloses(name, mine.weight):
            depth = len(name.split(".")) if name else 0
            return ".".join(theirs.weight.split(".")[:depth])
    # It stands beside the weights: below the same module as they do.
    first, second = site.coupled[0].weight.split("."), other.coupled[0].weight.split(".")
    parts = name.split(".")
    shared = 0
    while shared < min(len(parts), len(first)) and parts[shared] == first[shared]:
        shared += 1
    return ".".join(second[:shared] + parts[shared:])
