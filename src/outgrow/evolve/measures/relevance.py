"""How much a layer's activations tell of the target: a lower bound in nats."""

__all__ = ["label_entropy", "measure_relevance"]

import math

import torch
from torch import Tensor

from outgrow.evolve.measures.estimate import Abstention, Estimate, why_unusable
from outgrow.evolve.measures.principal import principal_dims
from outgrow.evolve.measures.probe import held_out_losses

_LEAST = 32


def measure_relevance(
    activations: Tensor,
    labels: Tensor,
    *,
    most_dims: int = 128,
    seed: int = 0,
) -> Estimate | Abstention:
    """A lower bound of the mutual information of activations and labels, in nats.

    `I(T; Y) = H(Y) - H(Y | T)`, and no classifier's cross entropy on samples that it has not seen lies, on
    average, below `H(Y | T)`: `H(Y) - CE` of a linear probe, each sample judged by a probe of the other
    folds, is therefore a bound from below. `H(Y)` is the plug-in entropy, which is too low by about
    `(classes - 1) / 2n`: that, too, is on the side of the bound. Cut off at zero, which bounds as well.

    Known error: what is in the activations and cannot be read off linearly is not seen, wherever it is (the
    exclusive or of two channels counts as nothing); with few samples the probe learns less and the bound gets
    looser. Where there are more than `most_dims` dims, or more than a quarter of the samples, the principal
    ones are looked at. `standard_error` is that of the mean of `log q(y|t) - log p(y)` over samples, fold to
    fold variation not counted.

    Abstains with fewer than 32 samples, a single class, or NaN or Inf among the activations.

    Source: Barber and Agakov 2003, the variational bound; Pimentel et al. 2020, arXiv:2004.03061, on probes.
    """
    samples = len(activations)
    if (reason := why_unusable(activations, labels, least=_LEAST)) is not None:
        return Abstention(reason=reason, samples=samples)
    found, places = torch.unique(labels, return_inverse=True)
    if len(found) < 2:
        return Abstention(reason="all labels are the same", samples=samples)
    counts = places.bincount().double()
    surprise = -(counts / samples).log()[places]
    features = principal_dims(activations, most=min(most_dims, samples // 4))
    losses = held_out_losses(features, places, classes=len(found), seed=seed)
    told = surprise - losses
    return Estimate(
        value=max(0.0, float(told.mean())),
        standard_error=float(told.std()) / math.sqrt(samples),
        samples=samples,
    )


def label_entropy(labels: Tensor) -> float:
    """The plug-in entropy of labels, in nats: the most that any relevance can be."""
    shares = torch.unique(labels, return_counts=True)[1].double() / len(labels)
    return float(-(shares * shares.log()).sum())
