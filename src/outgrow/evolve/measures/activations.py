"""What flows through a site: its units' activations, where the next layer reads them."""

__all__ = ["Activations", "site_activations"]

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.capture import Call, watch
from outgrow.evolve.batches import Batch
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.measures.unit_places import UnitPlaces
from outgrow.evolve.sites.site import Site
from outgrow.evolve.transactions.undisturbed import undisturbed

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Activations:
    """Activations of one site over some batches."""

    values: Tensor
    """float32 `[samples, positions, channels]`; positions are pixels or tokens, 1 where there are none."""
    targets: Tensor | None
    """int64 `[samples]`, or `[samples, positions]` where every token has one; None where there are none."""

    @property
    def pooled(self) -> Tensor:
        """`[samples, channels]`: the mean over positions; the rows are independent of each other."""
        return self.values.mean(1)

    def rows(self, most: int = 2048) -> Tensor:
        """`[rows, channels]`, as few positions of a sample as `most` rows need, spread evenly."""
        samples, positions, channels = self.values.shape
        taken = min(positions, max(1, most // samples))
        places = torch.linspace(0, positions - 1, taken, device=self.values.device).round().long()
        # Another offset in each sample: else the same few pixels would stand for all.
        shift = torch.arange(samples, device=self.values.device)[:, None] * 7
        chosen = (places[None] + shift) % positions
        return self.values.gather(1, chosen[..., None].expand(-1, -1, channels)).flatten(0, 1)[:most]

    def labelled(self) -> tuple[Tensor, Tensor] | None:
        """Rows with a label each: samples, or tokens where those have labels; -100 is left out."""
        if self.targets is None or self.targets.is_floating_point():
            return None
        if self.targets.dim() == 1:
            return self.pooled, self.targets
        kept = self.targets.flatten() != -100
        return self.values.flatten(0, 1)[kept], self.targets.flatten()[kept]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tap:
    """Where the units of a site can be seen."""

    module: str
    is_input: bool
    dim: int
    order: Tensor
    """int64 `[units, of each]`: the places of each unit along `dim`."""


def site_activations(
    model: nn.Module,
    sites: Sequence[Site],
    batches: Iterable[Batch],
    *,
    inputs: ExampleInputs,
    most: int = 1024,
) -> dict[str, Activations]:
    """The activations of each site (by name) over the first `most` samples of the batches.

    They are taken where the first layer that reads the site's units takes them in, that is behind
    normalisation and nonlinearity; where no linear or convolution layer does, where the site's own layer
    gives them out. A site with neither is not in the result. Several places of one unit (a flattened picture)
    count as positions; of texts of several lengths only the length of the shortest is looked at. One forward
    pass in eval mode for all sites together; the model is left as it was.
    """
    places = UnitPlaces(model, inputs)
    taps = {site.name: tap for site in sites if (tap := _find_tap(model, places, site)) is not None}
    seen: dict[str, list[Tensor]] = {name: [] for name in taps}
    targets: list[Tensor | None] = []
    wanted = {(tap.module, tap.is_input) for tap in taps.values()}
    passing: dict[tuple[str, bool], Tensor] = {}

    def enter(call: Call) -> None:
        if (call.name, True) in wanted:
            passing[call.name, True] = _first_tensor(call)

    def leave(call: Call, output: Any, _error: BaseException | None) -> None:
        if (call.name, False) in wanted and isinstance(output, Tensor):
            passing[call.name, False] = output

    count = 0
    with undisturbed(model), torch.no_grad(), watch(model, enter=enter, leave=leave):
        model.eval()
        for batch in batches:
            if count >= most:
                break
            passing.clear()
            batch.inputs.call(model)
            targets.append(batch.target)
            count += batch.size
            for name, tap in taps.items():
                seen[name].append(_units(passing[tap.module, tap.is_input], tap))
    return {name: _joined(parts, targets, most) for name, parts in seen.items() if parts}


def _find_tap(model: nn.Module, places: UnitPlaces, site: Site) -> _Tap | None:
    for role in ("in", "out"):
        for one in site.coupled:
            module = model.get_submodule(one.weight.rpartition(".")[0])
            dim = _channel_dim(module)
            if one.role != role or dim is None or not one.weight.endswith("weight"):
                continue
            units = places.units_along(site, one)
            counts = units[units >= 0].bincount(minlength=site.units)
            if int(counts.min()) == int(counts.max()) > 0:
                order = torch.argsort(torch.where(units < 0, site.units, units), stable=True)
                order = order[: int(counts.sum())].reshape(site.units, -1)
                name = one.weight.rpartition(".")[0]
                return _Tap(module=name, is_input=role == "in", dim=dim, order=order)
    return None


def _channel_dim(module: nn.Module) -> int | None:
    if isinstance(module, _CONVOLUTIONS):
        return 1 if module.groups == 1 else None
    # Conv1D is GPT-2's linear layer, with its weight the other way round.
    return -1 if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D" else None


def _first_tensor(call: Call) -> Tensor:
    found = [value for value in (*call.args, *call.kwargs.values()) if isinstance(value, Tensor)]
    return found[0]


def _units(tensor: Tensor, tap: _Tap) -> Tensor:
    """`[samples, positions, channels]` of what passes at a tap."""
    last = tensor.detach().movedim(tap.dim, -1).float()
    last = last.reshape(last.shape[0], -1, last.shape[-1])
    return last[..., tap.order.to(last.device)]


def _joined(parts: list[Tensor], targets: list[Tensor | None], most: int) -> Activations:
    length = min(part.shape[1] for part in parts)
    values = torch.cat([part[:, :length] for part in parts])[:most]
    samples, positions, units, each = values.shape
    # Several places of a unit are positions (of a flattened picture), or channels of a head; a unit's places
    # are looked at together only where there are positions beside them.
    values = (
        values.reshape(samples, positions, units * each)
        if positions > 1
        else values.movedim(3, 2).reshape(samples, positions * each, units)
    )
    known = [target for target in targets if target is not None]
    target = None
    if known and len(known) == len(targets):
        target = torch.cat([one if one.dim() == 1 else one[:, :length] for one in known])[:most]
    if target is not None and target.shape not in ((samples,), (samples, values.shape[1])):
        target = None
    return Activations(values=values, targets=target)
