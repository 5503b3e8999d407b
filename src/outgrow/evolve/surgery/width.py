"""Give a leaf other units, wherever it occurs in a model."""

__all__ = ["Units", "change_width"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from outgrow.evolve.coupling.coupling import Coupling, Occurrence
from outgrow.evolve.coupling.extent import Extent, Positions
from outgrow.evolve.coupling.norms import Norm
from outgrow.evolve.sites.site import SizeAttribute
from outgrow.evolve.surgery.fresh import fresh_slices
from outgrow.evolve.surgery.layer_attributes import refresh_attributes, resize_attributes
from outgrow.evolve.surgery.reindex import added_up, reindexed, shared_out
from outgrow.evolve.surgery.surgery import Reindexing, Surgery


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Which units a leaf has after a change, and how the new ones begin."""

    sources: Tensor
    """int64 `[new units]`: the old unit of each; the first `kept` of them are old ones that stay."""
    kept: int
    """How many old units stay; those behind them are new."""
    method: str = "split"
    """How new units begin: `split`, `duplicate`, `zero_outgoing` or `pad`."""
    merged: Mapping[int, int] = field(default_factory=dict)
    """Old unit that goes -> old unit that takes over its outgoing weights."""
    seed: int = 0
    """Of the CPU generator that everything random is drawn from."""


def change_width(
    surgery: Surgery,
    coupling: Coupling,
    leaf: Extent,
    units: Units,
    attributes: Iterable[SizeAttribute] = (),
    norms: tuple[Norm, ...] | None = None,
) -> None:
    """Give `leaf` the units `units`, wherever it occurs, and modules their `attributes`, unchecked.

    `norms` are `coupling.norms(leaf)` of the model that was analysed, as it was then: to be given where the
    same change is made twice, to a model and to its average.
    """
    model = surgery.model
    generator = torch.Generator().manual_seed(units.seed)
    named = dict([*model.named_parameters(), *model.named_buffers()])
    if norms is None:
        norms = coupling.norms(leaf) if units.method in ("duplicate", "pad") else ()
    occurrences = coupling.occurrences(leaf)
    scaled = _padding_scales(units, leaf, norms) if units.method == "pad" else {}
    if units.method == "duplicate":
        scaled = _tied_scales(coupling, leaf, units, norms)
    for use in occurrences:
        tensor = named[use.weight]
        extent = coupling.weights[use.weight][use.dim]
        positions = extent.positions(leaf, units.sources)
        contents = _contents(model, tensor.data, use, extent, leaf, positions, units, generator)
        if use.weight in scaled:
            is_empty = positions.unit >= (units.kept if units.method == "pad" else len(units.sources))
            contents = _rescaled(contents, *scaled[use.weight], is_empty=is_empty)
        fresh = positions.unit >= units.kept
        surgery.replace(tensor, contents, Reindexing(dim=use.dim, gather=positions.gather, fresh=fresh))
    _refresh(surgery, coupling, leaf, units, occurrences, norms)
    resize_attributes(surgery, attributes, len(units.sources))


def _contents(
    model: nn.Module,
    tensor: Tensor,
    use: Occurrence,
    extent: Extent,
    leaf: Extent,
    positions: Positions,
    units: Units,
    generator: torch.Generator,
) -> Tensor:
    """The new contents of one weight."""
    is_consumer, is_producer = "in" in use.roles, "out" in use.roles
    if units.merged and is_consumer:
        old = extent.positions(leaf, torch.arange(leaf.size))
        tensor = added_up(tensor, use.dim, old, leaf.size, units.merged)
    is_new = positions.unit >= units.kept
    if not is_new.any() or not tensor.is_floating_point():
        return reindexed(tensor, use.dim, positions.gather)
    if units.method in ("split", "duplicate"):
        if is_consumer and not is_producer:
            return shared_out(tensor, use.dim, positions, units.sources, generator=generator)
        return reindexed(tensor, use.dim, positions.gather)
    contents = reindexed(tensor, use.dim, positions.gather)
    places = is_new.nonzero()[:, 0].to(tensor.device)
    if is_consumer == (units.method == "zero_outgoing") or is_producer == is_consumer:
        return contents.index_fill_(use.dim, places, 0)
    module, attribute = use.weight.rpartition(".")[::2]
    drawn = fresh_slices(model.get_submodule(module), attribute, use.dim, len(places), generator=generator)
    return contents if drawn is None else contents.index_copy_(use.dim, places, drawn)


def _padding_scales(units: Units, leaf: Extent, norms: tuple[Norm, ...]) -> dict[str, tuple[float, float]]:
    """Name of a weight of a normalisation -> factor, and what is added to it before it is multiplied.

    With zeros beside it, the mean square of a stream goes down by `d / D`.
    """
    factor = (leaf.size / len(units.sources)) ** 0.5
    return {
        norm.weight: (factor, 1.0 if norm.kind == "rms_plus_one" else 0.0)
        for norm in norms
        if norm.weight is not None
    }


def _tied_scales(
    coupling: Coupling, leaf: Extent, units: Units, norms: tuple[Norm, ...]
) -> dict[str, tuple[float, float]]:
    """The same where a weight makes a stream and reads it, too (tied embeddings): it cannot be shared out.

    The norm before the place where it reads is divided by the number of copies instead. Whether anything else
    reads that norm shows when the outputs are compared.
    """
    tied = {use.weight for use in coupling.occurrences(leaf) if len(use.roles) > 1}
    scales: dict[str, tuple[float, float]] = {}
    kinds = {norm.module: norm.kind for norm in norms}
    last = ""
    for use in coupling.uses(leaf):
        if use.module in kinds and use.weight not in tied:
            last = use.module
        elif use.weight in tied and use.role == "in" and last:
            offset = 1.0 if kinds[last] == "rms_plus_one" else 0.0
            found = {one.weight for one in coupling.uses(leaf) if one.module == last}
            scales |= dict.fromkeys(found, (leaf.size / len(units.sources), offset))
    return scales


def _rescaled(contents: Tensor, factor: float, offset: float, *, is_empty: Tensor) -> Tensor:
    """`offset + contents` multiplied by `factor`; where nothing was, the mean of the others."""
    wide = contents.double() + offset
    old = ~is_empty.to(contents.device)
    wide[~old] = wide[old].mean()
    return (wide * factor - offset).to(contents.dtype)


def _refresh(
    surgery: Surgery,
    coupling: Coupling,
    leaf: Extent,
    units: Units,
    occurrences: list[Occurrence],
    norms: tuple[Norm, ...],
) -> None:
    """Make what modules say of their sizes agree with their weights."""
    model = surgery.model
    for count in coupling.counts:
        if any(one is leaf for one in count.extent.leaves()):
            size = len(count.extent.positions(leaf, units.sources).gather)
            surgery.assign(model.get_submodule(count.module), count.attribute, size)
    for name in dict.fromkeys(use.weight.rpartition(".")[0] for use in occurrences):
        refresh_attributes(surgery, model.get_submodule(name))
    if units.method == "pad":
        for norm in norms:
            if norm.eps_attribute is not None:
                eps = norm.eps * leaf.size / len(units.sources)
                surgery.assign(model.get_submodule(norm.module), norm.eps_attribute, eps)
