"""`NeuroExapt`: a model, its measures and its operators under one name."""

__all__ = ["NeuroExapt"]

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.batches import Batch, batches_of, inputs_for, own_loss
from outgrow.evolve.interface.figures import layer_figures, measure_figures
from outgrow.evolve.interface.information_bottleneck import InformationBottleneck
from outgrow.evolve.interface.structural_evolution import StructuralEvolution
from outgrow.evolve.interface.structural_operator import inputs_of

_TASKS = ("classification", "regression", "generation")
_BATCHES = 8
"""How many batches are looked at unless more are asked for."""


class NeuroExapt:
    """The predecessor's front door.

    Args:
        task_type: `classification`, `regression` or `generation`; information is measured for classes alone.
        depth: kept for programs that give it; a model's depth is what it is.
        entropy_weight: layers whose relevance is below this are candidates for pruning.
        info_weight: weight of `InformationBottleneck.compute_information_loss` in a trainer's loss.
        device: where the model is moved to; None leaves it.
        verbose: whether a trainer tells its progress through `logging`.
        optimizer: of the model's training, so that it follows each change.
    """

    def __init__(
        self,
        task_type: str = "classification",
        depth: int | None = None,
        entropy_weight: float = 0.5,
        info_weight: float = 0.0,
        device: torch.device | str | None = None,
        verbose: bool = True,
        *,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        if task_type not in _TASKS:
            raise InputError(f"task_type is {task_type!r}", hint=f"it is one of {', '.join(_TASKS)}")
        self.task_type, self.depth = task_type, depth
        self.entropy_weight, self.info_weight = entropy_weight, info_weight
        self.device, self.verbose, self.optimizer = device, verbose, optimizer
        self.model: nn.Module | None = None
        self.current_epoch = 0
        self.info_theory = InformationBottleneck(device=device)
        self.struct_optimizer = StructuralEvolution(device=device)
        self._batch: Batch | None = None
        self._layers: dict[str, dict[str, float]] = {}

    def wrap_model(self, model: nn.Module) -> nn.Module:
        """Take charge of a model; gives the very same one, so that its class and names stay."""
        self.model = model if self.device is None else model.to(self.device)
        self.struct_optimizer.register_model(self.model)
        return self.model

    def analyze_model(self, dataloader: Iterable[Any], num_batches: int | None = None) -> dict[str, Any]:
        """The figures of the model and of each site that can grow: relevance and redundancy.

        Raises:
            InputError: no model was wrapped, or the loader gives nothing that is known.
        """
        model = self._wrapped()
        device = next((one.device for one in model.parameters()), None)
        batches = list(batches_of(dataloader, device=device, count=num_batches or _BATCHES))
        self._batch = batches[0]
        self._layers = layer_figures(model, batches)
        figures = measure_figures(model, batches, own_loss)
        return {
            **figures,
            "layer_importances": {name: one["relevance"] for name, one in self._layers.items()},
            "layer_redundancies": {name: one["redundancy"] for name, one in self._layers.items()},
            "structural_entropy": self.struct_optimizer.compute_structural_entropy(model),
        }

    def evolve_structure(
        self, performance_metrics: Mapping[str, Any], force_action: str | None = None
    ) -> tuple[bool, dict[str, Any]]:
        """Make one change by what was measured; whether there was one, and what it was.

        `performance_metrics` may bring `example_inputs` or a loader; else those of `analyze_model` are taken.

        Raises:
            InputError: nothing is known of how the model is called.
        """
        model = self._wrapped()
        metrics = self._metrics(performance_metrics)
        if force_action is not None:
            operator = self.struct_optimizer.operator(force_action)
            if not operator.can_apply(model, metrics):
                return False, {"reason": f"there is no place to {force_action}"}
            _model, info = operator.apply(model, metrics)
            return True, info
        _model, step = self.struct_optimizer.evolve_step(model, {}, {}, metrics)
        return True, {
            "action": step.action,
            "target_layers": step.target_layers,
            "params_before": step.parameters_before,
            "params_after": step.parameters_after,
        }

    def prune_layers(self, criteria: str = "relevance<0.2", **metrics: Any) -> list[str]:
        """Prune units at the layer of least relevance if it fits `criteria`; the names of what was changed.

        Raises:
            InputError: `criteria` is not `relevance<NUMBER` (or `entropy<NUMBER`), or nothing was measured.
        """
        name, _, number = criteria.partition("<")
        if name not in ("relevance", "entropy") or not _is_number(number):
            raise InputError(f"criteria is {criteria!r}", hint="give for example 'relevance<0.2'")
        self._measured()
        given = self._metrics(metrics)
        values = given.pop("layer_entropies")
        _model, layers = self.struct_optimizer.prune_by_entropy(
            self._wrapped(), values, float(number), **given
        )
        return layers

    def expand_layers(self, method: str = "expand", num_layers: int = 2, **metrics: Any) -> list[str]:
        """Widen (or `mutate`, `branch`, `attention`) up to `num_layers` sites, the most relevant first.

        Raises:
            InputError: there is no such method, or nothing was measured.
        """
        operator = self.struct_optimizer.operator(method)
        ranked = sorted(self._measured().items(), key=lambda pair: -pair[1]["relevance"])
        given, changed = self._metrics(metrics), list[str]()
        for name, _figures in ranked[:num_layers]:
            wanted = {**given, "site": name} if method == "expand" else given
            if operator.can_apply(self._wrapped(), wanted):
                _model, info = operator.apply(self._wrapped(), wanted)
                changed += info["target_layers"][:1]
        return changed

    def update_epoch(self, epoch: int, total_epochs: int) -> None:
        """Take note of how far a training is."""
        self.current_epoch = epoch
        self.info_theory.update_beta(epoch, total_epochs)

    def _wrapped(self) -> nn.Module:
        if self.model is None:
            raise InputError("no model was wrapped", hint="call wrap_model(model) first")
        return self.model

    def _measured(self) -> dict[str, dict[str, float]]:
        if not self._layers:
            raise InputError("no layer was measured", hint="call analyze_model(dataloader) first")
        return self._layers

    def _metrics(self, given: Mapping[str, Any]) -> dict[str, Any]:
        metrics: dict[str, Any] = {"seed": self.current_epoch, **given}
        if self.optimizer is not None:
            metrics.setdefault("optimizer", self.optimizer)
        if self._batch is not None and not any(
            metrics.get(name) is not None
            for name in ("example_inputs", "loader", "dataloader", "mini_loader")
        ):
            metrics["example_inputs"] = inputs_for(self._wrapped(), self._batch)
        if self._layers:
            metrics.setdefault(
                "layer_importances", {name: one["relevance"] for name, one in self._layers.items()}
            )
            metrics.setdefault(
                "layer_entropies", {name: one["relevance"] for name, one in self._layers.items()}
            )
        inputs_of(self._wrapped(), metrics)
        return metrics


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
