"""The eight figures of a state, and those of each site: all measured, none drawn."""

__all__ = ["STATE_FIGURES", "accuracy", "layer_figures", "measure_figures"]

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.capture import Call, watch
from outgrow.evolve.batches import Batch, Objective, inputs_for
from outgrow.evolve.edits.outputs import output_tensors
from outgrow.evolve.measures.cost import measure_cost
from outgrow.evolve.measures.estimate import Estimate
from outgrow.evolve.measures.redundancy import measure_redundancy
from outgrow.evolve.measures.relevance import measure_relevance
from outgrow.evolve.sites.finding import sites
from outgrow.evolve.transactions.undisturbed import undisturbed

STATE_FIGURES = ("entropy", "mutual_info", "accuracy", "params", "redundancy", "complexity", "loss")
"""In the order of the state, whose eighth figure is the number of changes so far in hundreds."""


def measure_figures(model: nn.Module, batches: Sequence[Batch], objective: Objective) -> dict[str, Any]:
    """The figures of a model on some batches; the model is left as it was.

    `entropy`: mean entropy of the predictions, as a share of the most; `mutual_info`: a lower bound of what
    the sites' activations tell of the target (the best of them); `redundancy`: the mean over sites of the
    share of their variance that the other channels give away; `complexity`: training MFLOPs per sample.
    Figures that cannot be measured here (no classes, too few samples) are 0.
    """
    layers = layer_figures(model, batches)
    with undisturbed(model), torch.no_grad():
        model.eval()
        losses = [float(objective(model, batch)) for batch in batches]
        logits = [_logits(model, batch) for batch in batches]
    entropies = [_entropy(one) for one in logits if one is not None and one.shape[-1] > 1]
    return {
        "accuracy": accuracy(model, batches),
        "loss": sum(losses) / len(losses),
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "mutual_info": max((one["relevance"] for one in layers.values()), default=0.0),
        "redundancy": _mean([one["redundancy"] for one in layers.values()]),
        "complexity": measure_cost(model, inputs_for(model, batches[0])).training_flops / 1e6,
        "entropy": _mean(entropies),
    }


def layer_figures(model: nn.Module, batches: Sequence[Batch]) -> dict[str, dict[str, float]]:
    """For each site that can be widened: `relevance` in nats and `redundancy`; 0 where a measure abstains."""
    places = {site.name: site for site in sites(model, inputs_for(model, batches[0]), "widen")}
    seen: dict[str, list[Tensor]] = {name: [] for name in places}

    def note(call: Call, output: Any, error: BaseException | None) -> None:
        if error is None and call.name in seen:
            tensors = list(output_tensors(output).values())
            if tensors:
                seen[call.name].append(_samples(tensors[0], places[call.name].width))

    labels = [batch.target for batch in batches if batch.target is not None]
    with undisturbed(model), torch.no_grad(), watch(model, leave=note):
        model.eval()
        for batch in batches:
            inputs_for(model, batch).call(model)
    classes = torch.cat(labels).flatten() if len(labels) == len(batches) else None
    return {name: _figures(torch.cat(rows), classes) for name, rows in seen.items() if rows}


def accuracy(model: nn.Module, batches: Sequence[Batch]) -> float:
    """Percent of samples whose highest logit is their class; 0 where there are no classes."""
    hits, count = 0, 0
    with undisturbed(model), torch.no_grad():
        model.eval()
        for batch in batches:
            logits, target = _logits(model, batch), batch.target
            if logits is None or target is None or target.is_floating_point():
                continue
            if logits.shape[:-1] == target.shape:
                hits += int((logits.argmax(-1) == target).sum())
                count += target.numel()
    return 100.0 * hits / count if count else 0.0


def _figures(activations: Tensor, classes: Tensor | None) -> dict[str, float]:
    redundancy = measure_redundancy(activations)
    relevance = None
    if classes is not None and not classes.is_floating_point() and len(classes) == len(activations):
        relevance = measure_relevance(activations, classes)
    return {
        "relevance": relevance.value if isinstance(relevance, Estimate) else 0.0,
        "redundancy": redundancy.value if isinstance(redundancy, Estimate) else 0.0,
    }


def _samples(output: Tensor, width: int) -> Tensor:
    """Activations as `[samples, channels]`: means over places, one row a sample."""
    dims = [dim for dim in range(1, output.dim()) if output.shape[dim] == width]
    if not dims:
        return output.flatten(1)
    channels = dims[0] if output.dim() == 4 else dims[-1]
    return output.movedim(channels, 1).flatten(2).mean(2) if output.dim() > 2 else output


def _logits(model: nn.Module, batch: Batch) -> Tensor | None:
    output = inputs_for(model, batch).call(model)
    if isinstance(output, Mapping) and isinstance(output.get("logits"), Tensor):
        output = output["logits"]
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    return logits if isinstance(logits, Tensor) else None


def _entropy(logits: Tensor) -> float:
    shares = logits.double().softmax(-1)
    return float(torch.special.entr(shares).sum(-1).mean()) / math.log(logits.shape[-1])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
