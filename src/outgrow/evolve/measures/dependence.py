"""How much two things tell of each other: Gaussian-copula information, or an abstention."""

__all__ = ["measure_dependence"]

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from outgrow.evolve.measures.estimate import Abstention, Estimate, why_unusable
from outgrow.evolve.measures.principal import principal_dims
from outgrow.evolve.measures.relevance import label_entropy

_LEAST = 64
_DIMS = 10


def measure_dependence(
    one: Tensor,
    other: Tensor,
    *,
    permutations: int = 199,
    alpha: float = 0.05,
    seed: int = 0,
) -> Estimate | Abstention:
    """The mutual information of two sets of dims, in nats, as far as a Gaussian copula can hold it.

    `one` is floating `[samples, dims]`, `other` the same or int64 labels `[samples]`.

    Each dim is replaced by the normal quantiles of its ranks; then the information is that of Gaussians, and
    its bias with few samples is subtracted. Exact for Gaussians and for whatever has a Gaussian copula, with
    marginals of any shape; for one dim a side never too high. More than ten dims are brought to their ten
    principal ones first, which can only lose information; but it mixes marginals, so other marginals are
    exact up to ten dims only. With labels it is the entropy of the ranks less that within the classes: for
    one dim never too high, for several it may be where classes lie far apart; never above the labels' own
    entropy. For labels `measure_relevance` bounds always.

    Known error: dependence that leaves ranks uncorrelated is not seen: `y = x ** 2`, the exclusive or of two
    signs. `standard_error` is a jackknife over ten blocks of samples.

    Abstains where more than `alpha` of the permutations of the samples give as much (`p_value` says how
    many), where one side is a function of the other (the information is infinite, or a matter of rounding),
    with fewer than 64 samples or fewer than 8 in some class, with NaN or Inf, or where one side is constant.
    Samples must be independent; rows of one picture are not.

    Never use it between the input and an activation of a network without noise: see Saxe et al. 2018.

    Source: Ince et al. 2017, Human Brain Mapping 38; their bias terms, from Misra et al. 2005.
    """
    samples = len(one)
    if (reason := why_unusable(one, other, least=_LEAST)) is not None:
        return Abstention(reason=reason, samples=samples)
    if other.is_floating_point():
        first, second, most = _normal_ranks(one, _DIMS), _normal_ranks(other, _DIMS), math.inf
    else:
        second = F.one_hot(torch.unique(other, return_inverse=True)[1]).bool()
        least = int(second.sum(0).min())
        if least < 8:
            return Abstention(reason=f"a class has only {least} samples", samples=samples)
        # A covariance of d dims needs some times d samples, in every class.
        first, most = _normal_ranks(one, min(_DIMS, least // 4)), label_entropy(other)
    if not first.shape[1] or second.shape[1] < (1 if second.is_floating_point() else 2):
        return Abstention(reason="one side is constant", samples=samples)
    value = _information(first, second)
    if not math.isfinite(value):
        return Abstention(reason="one side is a function of the other", samples=samples)
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(samples, generator=generator).to(one.device) for _ in range(permutations)]
    as_much = sum(_information(first, second[order]) >= value for order in orders)
    p_value = (1 + as_much) / (1 + permutations)
    if p_value > alpha:
        return Abstention(
            reason=f"permuted samples give as much in {p_value:.0%} of cases: no dependence to be seen",
            samples=samples,
            p_value=p_value,
        )
    blocks = torch.arange(samples, device=one.device) % 10
    parts = torch.tensor([_information(first[blocks != left], second[blocks != left]) for left in range(10)])
    error = math.sqrt(float((parts - parts.mean()).square().sum()) * 9 / 10)
    return Estimate(value=min(max(0.0, value), most), standard_error=error, samples=samples, p_value=p_value)


def _information(first: Tensor, second: Tensor) -> float:
    """Of normal scores with others or, where `second` is bool `[samples, classes]`, with classes."""
    if second.is_floating_point():
        return _entropy(first) + _entropy(second) - _entropy(torch.cat([first, second], 1))
    within = sum(float(member.double().mean()) * _entropy(first[member]) for member in second.T)
    return _entropy(first) - within


def _entropy(values: Tensor) -> float:
    """Of a Gaussian with the covariance of these samples, in nats, up to a constant per dim; -inf where it is
    flat. The bias that a covariance of few samples brings is taken off."""
    samples, dims = values.shape
    centred = values - values.mean(0)
    covariance = centred.T @ centred / (samples - 1)
    spread = torch.linalg.eigvalsh(covariance)
    if float(spread[0]) <= 1e-10 * float(spread[-1]):
        return -math.inf
    freedom = torch.arange(samples - dims, samples, dtype=torch.float64)
    bias = dims * math.log(2 / (samples - 1)) + float(torch.special.digamma(freedom / 2).sum())
    return (float(spread.log().sum()) - bias) / 2


def _normal_ranks(values: Tensor, most: int) -> Tensor:
    """Normal quantiles of the ranks of each dim, or of the principal ones where there are more than `most` or
    some are made up of others; ties have their mean rank."""
    values = values.detach().double().reshape(len(values), -1)
    columns = [_ranked(column) for column in values.T if bool((column != column[0]).any())]
    if columns and len(columns) <= most:
        ranked = torch.stack(columns, 1)
        if math.isfinite(_entropy(ranked)):
            return ranked
    reduced = principal_dims(values, most=most, always=True)
    return torch.stack([_ranked(column) for column in reduced.T], 1) if reduced.shape[1] else reduced


def _ranked(column: Tensor) -> Tensor:
    _, places, counts = torch.unique(column, return_inverse=True, return_counts=True)
    ranks = counts.cumsum(0).double() - (counts - 1) / 2
    scores: Tensor = torch.special.ndtri(ranks[places] / (len(column) + 1))
    return scores
