"""A linear classifier, fitted in closed rounds: what a layer's activations say of the target, linearly."""

__all__ = ["fit_probe", "held_out_losses"]

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Ridge penalties tried, per sample; the one that does best on a part held out of the training part."""


def held_out_losses(
    features: Tensor, labels: Tensor, *, classes: int, folds: int = 4, seed: int = 0
) -> Tensor:
    """Cross entropy of each sample under a probe that has not seen it, in nats.

    `features` are `[samples, dims]`, `labels` int64 `[samples]`; the result is float64 `[samples]` on the
    features' device, finite for finite features. Features are standardised, and the ridge penalty chosen, by
    the training part of each fold alone. Deterministic for a seed.
    """
    samples = len(features)
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed)).to(features.device)
    losses = torch.empty(samples, dtype=torch.float64, device=features.device)
    features = features.detach().double()
    penalty: float | None = None
    for fold in range(folds):
        held_out = order[fold::folds]
        training = torch.cat([order[other::folds] for other in range(folds) if other != fold])
        scaled = _standardised(features, training)
        # Chosen once: the sets of two folds have most of their samples in common. Choosing looks at none of
        # the first fold's held-out samples; the others gain nothing that one number could tell them.
        if penalty is None:
            penalty = _penalty(scaled, labels, training, classes)
        weight = fit_probe(scaled[training], labels[training], classes=classes, penalty=penalty)
        logits = _with_one(scaled[held_out]) @ weight
        losses[held_out] = F.cross_entropy(logits, labels[held_out], reduction="none")
    return losses


def fit_probe(features: Tensor, labels: Tensor, *, classes: int, penalty: float, rounds: int = 60) -> Tensor:
    """Weights `[dims + 1, classes]` of a multinomial regression with a ridge penalty; last row: the bias.

    Minimises `mean cross entropy + penalty / 2 * |weight|^2` (the bias goes free), which is convex, by L-BFGS
    from zero. float64.
    """
    data = _with_one(features.double())
    weight = torch.zeros(data.shape[1], classes, dtype=torch.float64, device=data.device, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight], max_iter=rounds, tolerance_grad=1e-6, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        loss = F.cross_entropy(data @ weight, labels) + penalty / 2 * weight[:-1].square().sum()
        (weight.grad,) = torch.autograd.grad(loss, [weight])
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach()


def _penalty(features: Tensor, labels: Tensor, training: Tensor, classes: int) -> float:
    inner, outer = training[: 3 * len(training) // 4], training[3 * len(training) // 4 :]
    losses: list[float] = []
    for penalty in _PENALTIES:
        weight = fit_probe(features[inner], labels[inner], classes=classes, penalty=penalty, rounds=30)
        losses.append(float(F.cross_entropy(_with_one(features[outer]) @ weight, labels[outer])))
    return _PENALTIES[_first_least(losses)]


def _first_least(values: Sequence[float]) -> int:
    return min(range(len(values)), key=lambda place: values[place])


def _standardised(features: Tensor, training: Tensor) -> Tensor:
    mean, spread = features[training].mean(0), features[training].std(0)
    # A channel that is constant tells nothing: it becomes zero, not noise blown up.
    alive = spread > 1e-12 * (mean.abs() + 1e-300)
    return torch.where(alive, (features - mean) / torch.where(alive, spread, 1.0), 0.0)


def _with_one(features: Tensor) -> Tensor:
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)
