"""`InformationBottleneck`: entropy, information, importance, redundancy, by estimators with known errors."""

__all__ = ["InformationBottleneck"]

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.evolve.batches import batches_of
from outgrow.evolve.interface.figures import layer_figures
from outgrow.evolve.measures.dependence import measure_dependence
from outgrow.evolve.measures.estimate import Abstention, Estimate
from outgrow.evolve.measures.relevance import label_entropy, measure_relevance

_PSI = {"classification": 1.2, "generation": 0.8, "regression": 1.0}
"""The predecessor's weights of tasks."""


class InformationBottleneck:
    """The predecessor's measures by their names. All figures are in nats unless they are normalised.

    Args:
        beta: weight of the output's information in `compute_information_loss`.
        n_bins: bins of `calculate_entropy` where no dim is given.
        normalize: whether entropies and information come as shares of their maximum, in `[0, 1]`.
        device: kept for programs that give it; figures are computed where the tensors are.

    Information of a deterministic network's activations with its inputs is not estimated: without declared
    noise it is infinite or a figure of the estimator's own making.
    """

    def __init__(
        self,
        beta: float = 1.0,
        n_bins: int = 30,
        normalize: bool = True,
        device: torch.device | str | None = None,
    ) -> None:
        if n_bins < 2:
            raise InputError(f"n_bins is {n_bins}", hint="two bins at least")
        self.beta, self.n_bins, self.normalize, self.device = beta, n_bins, normalize, device

    def calculate_entropy(self, tensor: Tensor, dim: int | None = None) -> float:
        """With `dim`: the mean entropy of the distributions whose logits lie along it. Without: that of the
        values over `n_bins` bins of equal width, Miller-Madow corrected; it depends on the bins.

        Raises:
            InputError: the tensor is empty or holds NaN or Inf.
        """
        values = tensor.detach().double()
        if not values.numel() or not bool(values.isfinite().all()):
            raise InputError(
                f"a tensor {list(tensor.shape)} that is empty or not finite has no entropy",
                hint="look for where NaN or Inf came from: outgrow compare finds it",
            )
        if dim is not None:
            shares = values.softmax(dim)
            entropy = float(torch.special.entr(shares).sum(dim).mean())
            return self._share(entropy, math.log(values.shape[dim])) if self.normalize else entropy
        counts = torch.histc(values.flatten(), bins=self.n_bins)
        counts = counts[counts > 0]
        shares = counts / counts.sum()
        entropy = float(torch.special.entr(shares).sum()) + (len(counts) - 1) / (2 * values.numel())
        entropy = min(entropy, math.log(self.n_bins))
        return self._share(entropy, math.log(self.n_bins)) if self.normalize else entropy

    def calculate_mutual_information(self, x: Tensor, y: Tensor, normalize: bool | None = None) -> float:
        """Of activations `[samples, ...]` and class indices `[samples]` a lower bound by a held-out probe; of
        two sets of activations that by a Gaussian copula. 0 where the estimator abstains.

        Raises:
            InputError: the numbers of samples differ.
        """
        if len(x) != len(y):
            raise InputError(f"{len(x)} samples of x and {len(y)} of y", hint="rows belong together")
        is_share = self.normalize if normalize is None else normalize
        if y.dim() == 1 and not y.is_floating_point():
            value = _value(measure_relevance(x.flatten(1).double(), y))
            return self._share(value, label_entropy(y)) if is_share else value
        value = _value(measure_dependence(_rows(x), _rows(y)))
        return math.sqrt(1 - math.exp(-2 * value)) if is_share else value

    def calculate_layer_importance(
        self,
        layer_output: Tensor,
        target_output: Tensor,
        task_type: str = "classification",
        layer_name: str | None = None,
    ) -> float:
        """`psi(task)` times the information of a layer's output with the target, as a share of the most."""
        del layer_name
        if task_type not in _PSI:
            raise InputError(f"task_type is {task_type!r}", hint=f"it is one of {', '.join(_PSI)}")
        if layer_output.dim() > 2:
            layer_output = layer_output.flatten(2).mean(2)
        information = self.calculate_mutual_information(layer_output, target_output, normalize=True)
        return _PSI[task_type] * information

    def calculate_redundancy(
        self,
        layer_importances: Sequence[float],
        output_entropy: float,
        depth: int,
        depth_decay_lambda: float = 0.03,
    ) -> float:
        """The predecessor's figure: `1 - sum(I) / (H(O) exp(-lambda depth))`, cut to `[0, 1]`."""
        whole = output_entropy * math.exp(-depth_decay_lambda * depth)
        if whole <= 0:
            return 0.0
        return min(1.0, max(0.0, 1 - sum(layer_importances) / whole))

    def compute_information_loss(
        self, predictions: Tensor, targets: Tensor, layer_outputs: dict[str, Tensor] | None = None
    ) -> Tensor:
        """A differentiable penalty: the mean squared activations of `layer_outputs` (a Gaussian bound of
        their information with the inputs, up to a constant) minus `beta` times what the predictions tell of
        the targets (`-cross entropy`, the variational bound).

        Source: Alemi et al. 2017, arXiv:1612.00410, equation 17.
        """
        told = -F.cross_entropy(predictions, targets)
        rate = sum(
            (0.5 * one.square().mean() for one in (layer_outputs or {}).values()), predictions.new_zeros(())
        )
        return rate - self.beta * told

    def analyze_network(
        self, model: nn.Module, dataloader: Iterable[Any], task_type: str = "classification"
    ) -> dict[str, Any]:
        """Importance of each site that can grow, and the redundancy of the whole."""
        if task_type not in _PSI:
            raise InputError(f"task_type is {task_type!r}", hint=f"it is one of {', '.join(_PSI)}")
        device = next((one.device for one in model.parameters()), None)
        batches = list(batches_of(dataloader, device=device, count=8))
        layers = layer_figures(model, batches)
        importances = {name: _PSI[task_type] * one["relevance"] for name, one in layers.items()}
        return {
            "layer_importances": importances,
            "layer_redundancies": {name: one["redundancy"] for name, one in layers.items()},
            "redundancy": (
                sum(one["redundancy"] for one in layers.values()) / len(layers) if layers else 0.0
            ),
            "network_complexity": sum(one.numel() for one in model.parameters()) / 1e6,
        }

    def update_beta(self, epoch: int, total_epochs: int) -> None:
        """Nothing: `beta` stays what it is. `AdaptiveInformationBottleneck` of the predecessor changed it."""

    def _share(self, value: float, whole: float) -> float:
        return min(1.0, value / whole) if whole > 0 else 0.0


def _value(measured: Estimate | Abstention) -> float:
    return max(0.0, measured.value) if isinstance(measured, Estimate) else 0.0


def _rows(values: Tensor) -> Tensor:
    return values.double().flatten(1) if values.dim() > 1 else values.double().unsqueeze(1)
