"""What it would cost to widen or prune a site, without doing it."""

__all__ = ["SiteCosts"]

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.capture import Call, watch
from outgrow.evolve.batches import Batch
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.measures.cost import Cost, flop_counter, summed
from outgrow.evolve.measures.unit_places import UnitPlaces
from outgrow.evolve.sites.site import Site
from outgrow.evolve.transactions.undisturbed import undisturbed


@dataclass(slots=True)
class _Flops:
    """Of one module, its children left out, per sample."""

    forward: float = 0.0
    training: float = 0.0


class SiteCosts:
    """The FLOPs of a model module by module, from one run, and what they would be at other widths.

    A layer's FLOPs are in proportion to the elements of its weight; those of a module that multiplies without
    a weight of its own (attention) to the units that a site below it has. Where a dim grows, both follow.
    Exact for linear layers and convolutions; for attention exact in the number of heads.
    """

    def __init__(self, model: nn.Module, inputs: ExampleInputs) -> None:
        self._places = UnitPlaces(model, inputs)
        self._weights: dict[str, Tensor] = dict([*model.named_parameters(), *model.named_buffers()])
        self._parameters = {name for name, _ in model.named_parameters()}
        self._modules: dict[str, _Flops] = _flops_of_modules(model, inputs)
        # By identity: a tied weight has one name and several modules.
        names = {id(weight): name for name, weight in self._weights.items()}
        self._matrices = {
            name: [names[id(one)] for one in module.parameters(recurse=False) if one.dim() > 1]
            for name, module in model.named_modules()
        }

    def of(self, site: Site, by: int) -> Cost:
        """What the model costs more with `by` channels more at `site` (less, for a negative `by`)."""
        growth = by / site.width
        ratios: dict[str, float] = defaultdict(lambda: 1.0)
        for one in site.coupled:
            units = self._places.units_along(site, one)
            ratios[one.weight] *= 1 + growth * float((units >= 0).double().mean())
        more = {name: round(self._weights[name].numel() * (ratio - 1)) for name, ratio in ratios.items()}
        scaled = self._scaled_modules(site, ratios, 1 + growth)
        return Cost(
            parameters=sum(count for name, count in more.items() if name in self._parameters),
            bytes=sum(count * self._weights[name].element_size() for name, count in more.items()),
            flops=sum(self._modules[name].forward * (ratio - 1) for name, ratio in scaled.items()),
            training_flops=sum(self._modules[name].training * (ratio - 1) for name, ratio in scaled.items()),
        )

    def _scaled_modules(
        self, site: Site, ratios: dict[str, float], ratio_of_units: float
    ) -> dict[str, float]:
        """By how much the FLOPs of each module grow."""
        scaled: dict[str, float] = {}
        for name, flops in self._modules.items():
            if not flops.forward:
                continue
            if matrices := self._matrices[name]:
                # A module of several matrices (nn.MultiheadAttention) is taken as a whole.
                before = sum(self._weights[one].numel() for one in matrices)
                after = sum(self._weights[one].numel() * ratios.get(one, 1.0) for one in matrices)
                scaled[name] = after / before
            elif name and self._makes_within(site, name):
                scaled[name] = ratio_of_units
        return scaled

    def _makes_within(self, site: Site, module: str) -> bool:
        """Whether the units begin inside a module: its first layer makes them, and does not read them."""
        within = (
            one
            for one in site.coupled
            if one.weight.startswith(f"{module}.") and self._weights[one.weight].dim() > 1
        )
        first = next(within, None)
        return first is not None and first.role == "out"


def _flops_of_modules(model: nn.Module, inputs: ExampleInputs) -> dict[str, _Flops]:
    counts: dict[str, _Flops] = defaultdict(_Flops)
    begun: list[int] = []
    below: list[int] = []
    samples = Batch(inputs=inputs).size
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with undisturbed(model), torch.enable_grad(), flop_counter() as counter:

        def enter(_call: Call) -> None:
            begun.append(counter.get_total_flops())
            below.append(0)

        def leave(call: Call, _output: Any, _error: BaseException | None) -> None:
            whole = counter.get_total_flops() - begun.pop()
            own = whole - below.pop()
            if below:
                below[-1] += whole
            counts[call.name].forward += own / samples
            if weights := list(call.module.parameters(recurse=False)):
                given = [one for one in (*call.args, *call.kwargs.values()) if isinstance(one, Tensor)]
                # Backwards a product costs as much again for each side that needs a gradient.
                sides = any(one.requires_grad for one in given) + any(one.requires_grad for one in weights)
                counts[call.name].training += own * (1 + sides) / samples

        model.eval()
        with watch(model, enter=enter, leave=leave):
            loss = summed(inputs.call(model))
        if loss.requires_grad and trained:
            torch.autograd.grad(loss, trained, allow_unused=True)
        whole = counter.get_total_flops() / samples
    # What is left over is of modules without weights: kernels of attention differ in what they do twice.
    rest = [one for one in counts.values() if one.forward and not one.training]
    left = max(0.0, whole - sum(one.training for one in counts.values()))
    forward = sum(one.forward for one in rest)
    for one in rest:
        one.training = left * one.forward / forward
    return dict(counts)
