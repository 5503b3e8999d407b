"""How sure it is that one arm is better than another that saw the same."""

__all__ = ["Improvement", "paired_improvement"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Improvement:
    """By how much the loss of one arm is below that of another, in nats (or what the loss is in)."""

    mean: float
    """Over pairs; -inf where the arm diverged."""
    lower: float
    """The lower end of a one-sided confidence interval; -inf where the arm diverged."""
    pairs: int
    """How many pairs there were."""


def paired_improvement(
    before: Sequence[float], after: Sequence[float], *, confidence: float = 0.95
) -> Improvement:
    """What `after` gains on `before`, pair by pair, with Student's lower bound for their mean.

    Pairs are losses of the same batch under two models. What is bounded is the error that the choice of the
    validation batches brings; that of the order of the training batches is bounded only as far as pairs come
    from forks on different ones.
    """
    pairs = len(before)
    gains = torch.tensor(before, dtype=torch.float64) - torch.tensor(after, dtype=torch.float64)
    if pairs < 2 or not bool(gains.isfinite().all()):
        mean = float(gains.mean()) if pairs and bool(gains.isfinite().all()) else -math.inf
        return Improvement(mean=mean, lower=-math.inf, pairs=pairs)
    error = float(gains.std()) / math.sqrt(pairs)
    mean = float(gains.mean())
    return Improvement(mean=mean, lower=mean - _student(confidence, pairs - 1) * error, pairs=pairs)


def _student(confidence: float, freedom: int) -> float:
    """Quantile of Student's t (Cornish and Fisher's series; within 1 % from 3 degrees of freedom on at 95 %).

    With one or two degrees the exact forms.
    """
    if freedom == 1:
        return math.tan(math.pi * (confidence - 0.5))
    if freedom == 2:
        twice = 2 * confidence - 1
        return twice * math.sqrt(2 / (1 - twice * twice))
    z = float(torch.special.ndtri(torch.tensor(confidence, dtype=torch.float64)))
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom ** (place + 1) for place, term in enumerate(terms))
