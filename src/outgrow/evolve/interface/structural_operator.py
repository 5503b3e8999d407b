"""The predecessor's operators: `apply(model, metrics)` changes a model, here for real."""

__all__ = ["CompoundOperator", "SiteOperator", "StructuralOperator"]

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.batches import batches_of, inputs_for
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.example_inputs import ExampleInputs, call_form
from outgrow.evolve.sites.finding import sites
from outgrow.evolve.sites.site import Site

_LOADERS = ("loader", "dataloader", "mini_loader")


class StructuralOperator(ABC):
    """One kind of change, with the predecessor's signature.

    `metrics` brings what the change is decided on. Read by every operator of this module:

    - `example_inputs`, or a loader as `loader`, `dataloader` or `mini_loader`: what the model is called with;
    - `optimizer`, `scheduler`, `ema`: what is trained together with it, and has to follow;
    - `site`: the name of the site; without it the one with the best score of `layer_importances` (or
      `layer_entropies`, where least counts), and without scores one drawn with `seed`.
    """

    @abstractmethod
    def apply(self, model: nn.Module, metrics: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
        """Change `model` in place; gives it and what was done.

        Raises:
            OutgrowError: nothing can be changed, and nothing has.
        """

    @abstractmethod
    def can_apply(self, model: nn.Module, metrics: Mapping[str, Any]) -> bool:
        """Whether there is a place for it in `model`."""


class SiteOperator(StructuralOperator):
    """An operator that works on one site."""

    kind: ClassVar[str]
    """The kind of its sites."""
    is_best_least: ClassVar[bool] = False
    """Whether the site with the least score is taken."""

    def apply(self, model: nn.Module, metrics: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
        """Change the site that `metrics` say."""
        inputs = inputs_of(model, metrics)
        known = sites(model, inputs, self.kind)
        if not known:
            raise InputError(
                f"there is no site to {self.kind} in this {type(model).__name__}",
                hint="evolve.sites(model, example_inputs, kind) lists what there is",
            )
        site, why = self._chosen(known, metrics)
        before = sum(parameter.numel() for parameter in model.parameters())
        edit = self.edit(model, site, metrics)
        after = sum(parameter.numel() for parameter in model.parameters())
        return model, {
            "action": edit.operator,
            "target_layers": [site.name, *site.also],
            "reason": why,
            "edit": edit,
            "params_before": before,
            "params_after": after,
        }

    def can_apply(self, model: nn.Module, metrics: Mapping[str, Any]) -> bool:
        """Whether `model` has such a site."""
        return bool(sites(model, inputs_of(model, metrics), self.kind))

    @abstractmethod
    def edit(self, model: nn.Module, site: Site, metrics: Mapping[str, Any]) -> Edit:
        """Make the change at `site`."""

    def _chosen(self, known: Sequence[Site], metrics: Mapping[str, Any]) -> tuple[Site, str]:
        if (wanted := metrics.get("site")) is not None:
            name = wanted.name if isinstance(wanted, Site) else str(wanted)
            for site in known:
                if name in (site.name, *site.also):
                    return site, "asked for"
            raise InputError(
                f"no site to {self.kind} is called {name!r}",
                hint=f"there are: {', '.join(site.name for site in known[:8])}",
            )
        scores = metrics.get("layer_entropies" if self.is_best_least else "layer_importances") or {}
        scored = [
            (scores[name], site) for site in known for name in (site.name, *site.also) if name in scores
        ]
        if scored:
            best = (min if self.is_best_least else max)(scored, key=lambda pair: pair[0])
            return best[1], f"its score of {best[0]:.3g} is the {'least' if self.is_best_least else 'best'}"
        generator = torch.Generator().manual_seed(int(metrics.get("seed", 0)))
        place = int(torch.randint(len(known), (1,), generator=generator))
        return known[place], f"drawn from {len(known)} sites, there are no scores"


class CompoundOperator(StructuralOperator):
    """Several operators, one behind the other; those that have no place are passed over."""

    def __init__(self, operators: Sequence[StructuralOperator]) -> None:
        self.operators = list(operators)

    def apply(self, model: nn.Module, metrics: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
        """Apply each that can be."""
        done = []
        for operator in self.operators:
            if operator.can_apply(model, metrics):
                model, info = operator.apply(model, metrics)
                done.append(info)
        return model, {"action": "compound", "operations": done}

    def can_apply(self, model: nn.Module, metrics: Mapping[str, Any]) -> bool:
        """Whether any can be."""
        return any(operator.can_apply(model, metrics) for operator in self.operators)


def inputs_of(model: nn.Module, metrics: Mapping[str, Any]) -> ExampleInputs:
    """What `metrics` say `model` is called with.

    Raises:
        InputError: they do not say it.
    """
    device = metrics.get("device")
    if (given := metrics.get("example_inputs")) is not None:
        return call_form(given)
    for name in _LOADERS:
        if metrics.get(name) is not None:
            return inputs_for(model, next(batches_of(metrics[name], device=device, count=1)))
    raise InputError(
        "metrics hold neither example inputs nor a loader, so that nobody knows how the model is called",
        hint="give metrics={'example_inputs': batch, ...} or {'loader': loader, ...}",
    )


def followers_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The optimizer, scheduler and average that `metrics` bring, as operators take them."""
    return {
        name: metrics[name] for name in ("optimizer", "scheduler", "ema") if metrics.get(name) is not None
    }


def channels(site: Site, ratio: float) -> int:
    """About `ratio` of a site's channels, one unit at least, as whole units."""
    return max(1, round(ratio * site.units)) * site.unit_width
