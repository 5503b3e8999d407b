"""Widen a site: more channels, the same outputs."""

__all__ = ["widen"]

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from outgrow.evolve.coupling.coupling import Coupling, find_coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.edit import Edit
from outgrow.evolve.followers import Followers
from outgrow.evolve.layer_attributes import refresh_attributes, resize_attributes
from outgrow.evolve.operation import perform
from outgrow.evolve.reindex import reindexed, shared_out
from outgrow.evolve.site import Site, SizeAttribute
from outgrow.evolve.sites import find_site, leaf_of
from outgrow.evolve.surgery import Reindexing, Surgery


def widen(
    model: nn.Module,
    site: Site | str,
    by: int,
    *,
    optimizer: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    example_inputs: Any = None,
    method: str | None = None,
    seed: int = 0,
    allow: str = "exact",
) -> Edit:
    """Give a site `by` more channels, in place."""
    found, inputs = find_site(model, site, "widen", example_inputs)
    coupling = find_coupling(model, inputs)
    leaf = leaf_of(coupling, found)
    units = by // found.step
    generator = torch.Generator().manual_seed(seed)
    order = torch.cat([torch.randperm(leaf.size, generator=generator) for _ in range(-(-units // leaf.size))])
    sources = torch.cat([torch.arange(leaf.size), order[:units]])
    outcome = perform(
        model,
        inputs,
        lambda surgery: reindex_leaf(surgery, coupling, leaf, sources, generator, found.attributes),
        promise=allow,
        followers=Followers(optimizer=optimizer, scheduler=scheduler, ema=ema),
    )
    return Edit(
        operator="widen",
        site=found.name,
        arguments={"by": by, "method": method or found.methods[0], "seed": seed},
        promise=outcome.promise,
        change=outcome.change,
    )


def reindex_leaf(
    surgery: Surgery,
    coupling: Coupling,
    leaf: Extent,
    sources: torch.Tensor,
    generator: torch.Generator,
    attributes: Iterable[SizeAttribute] = (),
) -> None:
    """Give `leaf` the units `sources`, wherever it occurs."""
    model = surgery.model
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    for use in coupling.occurrences(leaf):
        tensor = tensors[use.weight]
        positions = coupling.weights[use.weight][use.dim].positions(leaf, sources)
        if "in" in use.roles:
            contents = shared_out(tensor.data, use.dim, positions, sources, generator=generator)
        else:
            contents = reindexed(tensor.data, use.dim, positions)
        fresh = positions.unit >= leaf.size
        surgery.replace(tensor, contents, Reindexing(dim=use.dim, gather=positions.gather, fresh=fresh))
    for count in coupling.counts:
        if any(one is leaf for one in count.extent.leaves()):
            size = len(count.extent.positions(leaf, sources).gather)
            surgery.assign(model.get_submodule(count.module), count.attribute, size)
    for name in {use.weight.rpartition(".")[0] for use in coupling.occurrences(leaf)}:
        refresh_attributes(surgery, model.get_submodule(name))
    resize_attributes(surgery, attributes, len(sources))
