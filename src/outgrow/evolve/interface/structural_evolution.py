"""`StructuralEvolution`: the six actions of the predecessor, and which operator each is."""

__all__ = ["ACTION_NAMES", "StructuralEvolution"]

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.interface.evolution_step import EvolutionStep
from outgrow.evolve.interface.structural_operator import StructuralOperator
from outgrow.evolve.interface.structural_operators import (
    DeviceAwareAttentionOperator,
    DeviceAwareBranchOperator,
    DeviceAwareHybridOperator,
    ExpandWithMI,
    MutateDiscrete,
    PruneByEntropy,
)
from outgrow.store.writer import write_json

ACTION_NAMES = ("prune", "expand", "mutate", "branch", "attention", "hybrid")
"""The predecessor's actions, in the order of their numbers."""


class StructuralEvolution:
    """Operators by action, with the predecessor's settings.

    Args:
        alpha: weight of what is measured about a layer, in `calculate_entropy_gradient`.
        beta: weight of how far the structure is from its target, there.
        prune_ratio: share of a site's units that `prune` takes away.
        expand_ratio: by how much of its width `expand` widens a site.
        min_layers: kept for programs that give it: units are pruned, never whole layers.
        max_layers: a model of so many layers is not given more.
        device: kept for programs that give it; changes happen where the model is.
    """

    def __init__(
        self,
        alpha: float = 0.7,
        beta: float = 0.3,
        prune_ratio: float = 0.1,
        expand_ratio: float = 0.1,
        min_layers: int = 3,
        max_layers: int = 100,
        device: torch.device | str | None = None,
    ) -> None:
        for name, ratio in (("prune_ratio", prune_ratio), ("expand_ratio", expand_ratio)):
            if not 0 < ratio < 1:
                raise InputError(f"{name} is {ratio}", hint="give a share between 0 and 1")
        self.alpha, self.beta = alpha, beta
        self.prune_ratio, self.expand_ratio = prune_ratio, expand_ratio
        self.min_layers, self.max_layers = min_layers, max_layers
        self.device = device
        self.model: nn.Module | None = None
        self.evolution_history: list[EvolutionStep] = []
        self.operators: dict[str, StructuralOperator] = {
            "prune": PruneByEntropy(prune_ratio=prune_ratio),
            "expand": ExpandWithMI(expansion_factor=1 + expand_ratio, expand_ratio=expand_ratio),
            "mutate": MutateDiscrete(),
            "branch": DeviceAwareBranchOperator(device),
            "attention": DeviceAwareAttentionOperator(device),
            "hybrid": DeviceAwareHybridOperator(device, ratio=max(expand_ratio, prune_ratio)),
        }

    def register_model(self, model: nn.Module) -> None:
        """Take note of the model that is evolved."""
        self.model = model

    def operator(self, action: int | str) -> StructuralOperator:
        """The operator of an action, by number or name.

        Raises:
            InputError: there is no such action.
        """
        if isinstance(action, bool) or (isinstance(action, int) and not 0 <= action < len(ACTION_NAMES)):
            raise InputError(
                f"action {action!r} does not exist", hint=f"actions are 0 to {len(ACTION_NAMES) - 1}"
            )
        name = ACTION_NAMES[action] if isinstance(action, int) else action
        if name not in self.operators:
            raise InputError(f"action {name!r} does not exist", hint=f"there are: {', '.join(ACTION_NAMES)}")
        return self.operators[name]

    def allows(self, action: int | str, model: nn.Module) -> bool:
        """Whether the number of layers permits an action."""
        name = ACTION_NAMES[action] if isinstance(action, int) else action
        return name not in ("branch", "attention") or len(_layers(model)) < self.max_layers

    def compute_structural_entropy(self, model: nn.Module) -> float:
        """How evenly the parameters lie over the layers: entropy of their shares, 0 to 1."""
        counts = [sum(one.numel() for one in layer.parameters(recurse=False)) for layer in _layers(model)]
        total = sum(counts)
        if len(counts) < 2 or not total:
            return 0.0
        return -sum(c / total * math.log(c / total) for c in counts if c) / math.log(len(counts))

    def calculate_entropy_gradient(
        self, current_entropy: float, target_entropy: float, layer_importances: Mapping[str, float]
    ) -> dict[str, float]:
        """`-alpha I(L) + beta (S_target - S)` for each layer: above zero where it should grow less."""
        pull = self.beta * (target_entropy - current_entropy)
        return {name: -self.alpha * importance + pull for name, importance in layer_importances.items()}

    def prune_by_entropy(
        self, model: nn.Module, layer_entropies: Mapping[str, float], threshold: float = 0.3, **metrics: Any
    ) -> tuple[nn.Module, list[str]]:
        """Prune at the layer of least entropy, if below `threshold`; gives the model and the layers."""
        if not layer_entropies or min(layer_entropies.values()) >= threshold:
            return model, []
        return self._apply("prune", model, {"layer_entropies": layer_entropies, **metrics})

    def expand_with_mi(
        self, model: nn.Module, layer_importances: Mapping[str, float], gamma: float = 0.1, **metrics: Any
    ) -> tuple[nn.Module, list[str]]:
        """Widen the layer of most importance, if that is above `gamma`; gives the model and the layers."""
        if not layer_importances or max(layer_importances.values()) <= gamma:
            return model, []
        return self._apply("expand", model, {"layer_importances": layer_importances, **metrics})

    def mutate_discrete_parameters(
        self,
        model: nn.Module,
        mutation_rate: float = 0.1,
        parameter_ranges: dict[str, tuple[int, int]] | None = None,
        **metrics: Any,
    ) -> nn.Module:
        """Mutate one layer."""
        del mutation_rate, parameter_ranges  # one layer at a time, and only exactly
        return self._apply("mutate", model, metrics)[0]

    def evolve_step(
        self,
        model: nn.Module,
        info_theory_metrics: Mapping[str, Any],
        entropy_metrics: Mapping[str, Any],
        performance_metrics: Mapping[str, Any],
    ) -> tuple[nn.Module, EvolutionStep]:
        """One change: prune where layers are redundant, expand where they are relevant, mutate else."""
        metrics = {**performance_metrics, **entropy_metrics, **info_theory_metrics}
        redundancy = float(metrics.get("redundancy", 0.0))
        action = "prune" if redundancy > 0.5 else "expand"
        if not self.operators[action].can_apply(model, metrics):
            action = "expand" if action == "prune" else "mutate"
        before = sum(parameter.numel() for parameter in model.parameters())
        model, layers = self._apply(action, model, metrics)
        step = EvolutionStep(
            epoch=len(self.evolution_history),
            action=action,
            target_layers=layers,
            metrics_before=dict(performance_metrics),
            metrics_after={},
            info_gain=0.0,
            parameters_before=before,
            parameters_after=sum(parameter.numel() for parameter in model.parameters()),
        )
        self.evolution_history.append(step)
        return model, step

    def get_evolution_summary(self) -> dict[str, Any]:
        """How many changes of each kind there were, and what they did to the number of parameters."""
        counts: dict[str, int] = {}
        for step in self.evolution_history:
            counts[step.action] = counts.get(step.action, 0) + 1
        changed = sum(step.parameters_after - step.parameters_before for step in self.evolution_history)
        return {
            "total_steps": len(self.evolution_history),
            "action_counts": counts,
            "total_param_change": changed,
            "average_info_gain": (
                sum(step.info_gain for step in self.evolution_history) / len(self.evolution_history)
                if self.evolution_history
                else 0.0
            ),
        }

    def save_evolution_history(self, filepath: str | Path) -> None:
        """Write the steps as JSON: a file that appears complete or not at all.

        Raises:
            StoreError: it cannot be written.
        """
        write_json(Path(filepath), [_plain(asdict(step)) for step in self.evolution_history])

    def _apply(
        self, action: str, model: nn.Module, metrics: Mapping[str, Any]
    ) -> tuple[nn.Module, list[str]]:
        model, info = self.operators[action].apply(model, metrics)
        return model, list(info["target_layers"])


def _layers(model: nn.Module) -> list[nn.Module]:
    return [one for one in model.modules() if any(p.dim() > 1 for p in one.parameters(recurse=False))]


def _plain(step: dict[str, Any]) -> dict[str, Any]:
    """The figures of a step as JSON can hold them."""
    for side in ("metrics_before", "metrics_after"):
        step[side] = {
            name: value for name, value in step[side].items() if isinstance(value, int | float | str | bool)
        }
    return step
