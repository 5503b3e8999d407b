"""The predecessor's operators by their names, each with a real effect."""

__all__ = [
    "DeviceAwareAttentionOperator",
    "DeviceAwareBranchOperator",
    "DeviceAwareHybridOperator",
    "ExpandWithMI",
    "MutateDiscrete",
    "PruneByEntropy",
]

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.interface.structural_operator import SiteOperator, channels, followers_of, inputs_of
from outgrow.evolve.operators.branch import branch
from outgrow.evolve.operators.hybrid import hybrid
from outgrow.evolve.operators.insert_attention import insert_attention
from outgrow.evolve.operators.mutate import mutate
from outgrow.evolve.operators.prune import prune
from outgrow.evolve.operators.widen import widen
from outgrow.evolve.sites.site import Site


class PruneByEntropy(SiteOperator):
    """Prune the units of least weight at the site that `metrics["layer_entropies"]` values least."""

    kind: ClassVar[str] = "prune"
    is_best_least: ClassVar[bool] = True

    def __init__(
        self,
        threshold: float = 0.3,
        min_layers_to_keep: int = 3,
        prune_ratio: float = 0.1,
        layer_types: list[type] | None = None,
    ) -> None:
        self.threshold = threshold
        self.min_layers_to_keep = min_layers_to_keep
        self.prune_ratio = prune_ratio
        self.layer_types = layer_types

    def can_apply(self, model: nn.Module, metrics: Mapping[str, Any]) -> bool:
        """Whether there is a site, and the entropies (where given) have one below the threshold."""
        entropies = metrics.get("layer_entropies")
        return super().can_apply(model, metrics) and (
            not entropies or min(entropies.values()) < self.threshold
        )

    def edit(self, model: nn.Module, site: Site, metrics: Mapping[str, Any]) -> Edit:
        """Take about `prune_ratio` of its units away, one at least."""
        amount = channels(site, self.prune_ratio)
        return prune(
            model, site, amount=amount, example_inputs=inputs_of(model, metrics), **followers_of(metrics)
        )


class ExpandWithMI(SiteOperator):
    """Widen the site that `metrics["layer_importances"]` values most, exactly."""

    kind: ClassVar[str] = "widen"

    def __init__(
        self,
        gamma: float = 0.1,
        max_layers_to_add: int = 5,
        expand_ratio: float = 0.1,
        expansion_factor: float = 1.5,
        *,
        intelligent_mode: bool = True,
    ) -> None:
        self.gamma = gamma
        self.max_layers_to_add = max_layers_to_add
        self.expand_ratio = expand_ratio
        self.expansion_factor = expansion_factor
        self.intelligent_mode = intelligent_mode

    def edit(self, model: nn.Module, site: Site, metrics: Mapping[str, Any]) -> Edit:
        """Make it `expansion_factor` as wide."""
        return widen(
            model,
            site,
            channels(site, self.expansion_factor - 1),
            seed=int(metrics.get("seed", 0)),
            example_inputs=inputs_of(model, metrics),
            **followers_of(metrics),
        )


class MutateDiscrete(SiteOperator):
    """Change a discrete parameter of a layer, a kernel's size for example, exactly."""

    kind: ClassVar[str] = "mutate"

    def __init__(
        self,
        mutation_rate: float = 0.1,
        temperature: float = 1.0,
        parameter_ranges: dict[str, tuple[int, int]] | None = None,
    ) -> None:
        self.mutation_rate = mutation_rate
        self.temperature = temperature
        self.parameter_ranges = parameter_ranges or {}

    def edit(self, model: nn.Module, site: Site, metrics: Mapping[str, Any]) -> Edit:
        """Mutate it."""
        return mutate(model, site, example_inputs=inputs_of(model, metrics), **followers_of(metrics))


class _DeviceAware(SiteOperator):
    """New layers go where their neighbours are; `device` is kept for programs that give it."""

    def __init__(self, device: torch.device | str | None = None) -> None:
        self.device = torch.device(device) if device is not None else None


class DeviceAwareBranchOperator(_DeviceAware):
    """A branch beside a layer, exact when it is put in."""

    kind: ClassVar[str] = "branch"

    def edit(self, model: nn.Module, site: Site, metrics: Mapping[str, Any]) -> Edit:
        """Put it in."""
        return branch(
            model,
            site,
            seed=int(metrics.get("seed", 0)),
            example_inputs=inputs_of(model, metrics),
            **followers_of(metrics),
        )


class DeviceAwareAttentionOperator(_DeviceAware):
    """Attention behind a layer, exact when it is put in."""

    kind: ClassVar[str] = "insert_attention"

    def edit(self, model: nn.Module, site: Site, metrics: Mapping[str, Any]) -> Edit:
        """Put it in."""
        return insert_attention(
            model,
            site,
            seed=int(metrics.get("seed", 0)),
            example_inputs=inputs_of(model, metrics),
            **followers_of(metrics),
        )


class DeviceAwareHybridOperator(_DeviceAware):
    """Widen a site and prune its least units, in one change."""

    kind: ClassVar[str] = "widen"

    def __init__(self, device: torch.device | str | None = None, ratio: float = 0.25) -> None:
        super().__init__(device)
        self.ratio = ratio

    def edit(self, model: nn.Module, site: Site, metrics: Mapping[str, Any]) -> Edit:
        """Half as many go as come."""
        by = channels(site, self.ratio)
        amount = max(site.step, (by // 2) // site.step * site.step)
        return hybrid(
            model,
            site,
            by=by,
            amount=amount,
            seed=int(metrics.get("seed", 0)),
            example_inputs=inputs_of(model, metrics),
            **followers_of(metrics),
        )
