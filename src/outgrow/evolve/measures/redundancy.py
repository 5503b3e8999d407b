"""How much of what a layer computes it computes more than once, or another layer does as well."""

__all__ = ["channel_redundancy", "debiased_cka", "measure_redundancy"]

import math

import torch
from torch import Tensor

from outgrow.evolve.measures.estimate import Abstention, Estimate, why_unusable

_LEAST = 32
_SHRINKAGES = (1e-6, 1e-3, 1e-2, 1e-1, 1.0)
"""Added to the diagonal of the correlations; chosen on a part held out of the training part."""


def channel_redundancy(activations: Tensor, *, folds: int = 5, seed: int = 0) -> Tensor | Abstention:
    """For each channel the share of its variance that the other channels together give away, 0 to 1.

    R² of a ridge regression of each channel on all others, on samples that the regression has not seen: in
    the sample, `channels - 1` regressors give an R² of about `channels / samples` for mere noise, and 1 where
    there are as many as samples; held out, noise gives 0. All regressions of a fold come from one inverse of
    the correlations. A channel that is constant gives nothing to anybody: it counts as 1. float64, on the
    activations' device.

    Known error: linear; with samples hardly more than channels the regression learns little, and the figure
    is too low (it never claims a redundancy that is not there, but misses some). Samples have to be
    independent for "not seen" to mean something: neighbouring pixels of one picture are not, so rows of
    several pictures are best taken sparsely.

    Abstains with fewer than 32 samples, or NaN or Inf.

    Source: Guttman 1953, image analysis: squared multiple correlations from the inverse correlation matrix.
    """
    found = _by_fold(activations, folds, seed)
    return found if isinstance(found, Abstention) else _explained(found.sum(1))


def measure_redundancy(activations: Tensor, *, seed: int = 0) -> Estimate | Abstention:
    """The mean of `channel_redundancy` over channels, and how much it varies from fold to fold.

    0: every channel says something that the others do not; 1: each could be computed from the others.
    """
    found = _by_fold(activations, 5, seed)
    if isinstance(found, Abstention):
        return found
    by_fold = torch.stack([_explained(fold).mean() for fold in found.unbind(1)])
    return Estimate(
        value=float(_explained(found.sum(1)).mean()),
        standard_error=float(by_fold.std()) / math.sqrt(len(by_fold)),
        samples=len(activations),
    )


def debiased_cka(one: Tensor, other: Tensor) -> Estimate | Abstention:
    """How alike two layers see the same samples, whatever rotation or scale separates them.

    Linear CKA with the unbiased estimator of HSIC: 1 for equal activations up to rotation and scale, 0 on
    average for independent ones, also with more channels than samples, where plain CKA goes to 1. It can come
    out slightly below zero. The standard error is a jackknife over ten blocks of samples. Memory grows with
    `samples ** 2`.

    Known error: a linear map that is no rotation lowers it; it is dominated by the directions of the largest
    variance (a single one can hide all others).

    Abstains with fewer than 32 samples, NaN or Inf, or where one side is constant.

    Source: Kornblith et al. 2019, arXiv:1905.00414; the unbiased HSIC of Song et al. 2012, JMLR 13.
    """
    samples = len(one)
    if (reason := why_unusable(one, other, least=_LEAST)) is not None:
        return Abstention(reason=reason, samples=samples)
    grams = [_gram(side.detach().double()) for side in (one, other)]
    value = _cka(*grams)
    if value is None:
        return Abstention(reason="one side is constant", samples=samples)
    blocks = torch.arange(samples, device=one.device) % 10
    left_out = []
    for block in range(10):
        kept = (blocks != block).nonzero()[:, 0]
        part = _cka(*(gram[kept][:, kept] for gram in grams))
        if part is not None:
            left_out.append(part)
    spread = torch.tensor(left_out, dtype=torch.float64)
    error = math.sqrt(float((spread - spread.mean()).square().sum()) * (len(left_out) - 1) / len(left_out))
    return Estimate(value=value, standard_error=error, samples=samples)


def _by_fold(activations: Tensor, folds: int, seed: int) -> Tensor | Abstention:
    """`[2, folds, channels]`: squares of what is left of each channel, and of what there was; NaN for a
    channel that is constant."""
    samples, channels = activations.shape
    if (reason := why_unusable(activations, least=_LEAST)) is not None:
        return Abstention(reason=reason, samples=samples)
    values = activations.detach().double()
    spread = values.std(0)
    alive = spread > 1e-12 * (values.mean(0).abs() + 1e-300)
    result = torch.full((2, folds, channels), math.nan, dtype=torch.float64, device=values.device)
    if not bool(alive.any()):
        return result
    values = (values[:, alive] - values[:, alive].mean(0)) / spread[alive]
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed)).to(values.device)
    shrinkage: float | None = None
    for fold in range(folds):
        held_out = values[order[fold::folds]]
        training = values[torch.cat([order[other::folds] for other in range(folds) if other != fold])]
        if shrinkage is None:
            inner, outer = training[: 3 * len(training) // 4], training[3 * len(training) // 4 :]
            tried = [float(_left_over(inner, outer, one).square().sum()) for one in _SHRINKAGES]
            shrinkage = _SHRINKAGES[min(range(len(tried)), key=tried.__getitem__)]
        result[0, fold, alive] = _left_over(training, held_out, shrinkage).square().sum(0)
        result[1, fold, alive] = (held_out - training.mean(0)).square().sum(0)
    return result


def _explained(squares: Tensor) -> Tensor:
    """`[channels]` of `[2, channels]`: the share that is not left; 1 for constant channels."""
    return (1 - squares[0] / squares[1]).clamp(0, 1).nan_to_num(nan=1.0)


def _left_over(training: Tensor, held_out: Tensor, shrinkage: float) -> Tensor:
    """What each channel of `held_out` keeps when the others, as `training` weighs them, are taken off."""
    mean = training.mean(0)
    centred = training - mean
    correlations = centred.T @ centred / len(training)
    correlations.diagonal().add_(shrinkage)
    precision = torch.linalg.inv(correlations)
    # The regression of channel j on the others is -P[:, j] / P[j, j]: with its own 1 this is what is left.
    left: Tensor = (held_out - mean) @ precision / precision.diagonal()
    return left


def _gram(values: Tensor) -> Tensor:
    centred = values - values.mean(0)
    return centred @ centred.T


def _cka(one: Tensor, other: Tensor) -> float | None:
    across, within, beside = _hsic(one, other), _hsic(one, one), _hsic(other, other)
    return across / math.sqrt(within * beside) if within > 0 and beside > 0 else None


def _hsic(one: Tensor, other: Tensor) -> float:
    count = len(one)
    one, other = one.clone().fill_diagonal_(0), other.clone().fill_diagonal_(0)
    ones = one.sum() * other.sum() / ((count - 1) * (count - 2))
    cross = (one.sum(0) * other.sum(0)).sum() * 2 / (count - 2)
    return float(((one * other).sum() + ones - cross) / (count * (count - 3)))
