"""How sure it is that one arm is better than another that saw the same."""

__all__ = ["Improvement", "paired_improvement", "price_of"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Improvement:
    """By how much a change lowers the loss at equal FLOPs, in nats (or what the loss is in)."""

    mean: float
    """Over pairs; -inf where the arm diverged."""
    lower: float
    """The lower end of a one-sided confidence interval; -inf where the arm diverged."""
    pairs: int
    """How many pairs there were."""


def paired_improvement(
    before: Sequence[float],
    without: Sequence[float],
    changed: Sequence[float],
    *,
    price: float = 1.0,
    confidence: float = 0.95,
) -> Improvement:
    """What a change gains at equal FLOPs, pair by pair, with Student's lower bound for the mean.

    Pairs are losses of the same validation batch: `before` the fork, after it `without` the change, and with
    it (`changed`), all arms having made the same steps on the same batches. From `without - changed` the part
    `price - 1` of `before - without` is taken off, which is what the change's FLOPs would have bought without
    it (nothing, where training made the loss no better); a price below 1 is credited. For the same FLOPs
    within the fork the price is the ratio of the FLOPs of a step; see `price_of`.

    Why not end the arm of the larger model after fewer steps: both arms end on the same batch so, and the
    noise of the last few steps, larger than what is looked for, goes out of the difference.

    What is bounded is the error that the choice of the validation batches brings; that of the order of the
    training batches is bounded only as far as pairs come from forks on different ones.
    """
    pairs = len(without)
    first, second, third = (torch.tensor(one, dtype=torch.float64) for one in (before, without, changed))
    bought = first - second
    gains = second - third
    if bool(bought.isfinite().all()) and float(bought.mean() if pairs else 0) > 0:
        gains = gains - (price - 1) * bought
    if pairs < 2 or not bool(gains.isfinite().all()):
        mean = float(gains.mean()) if pairs and bool(gains.isfinite().all()) else -math.inf
        return Improvement(mean=mean, lower=-math.inf, pairs=pairs)
    error = float(gains.std()) / math.sqrt(pairs)
    mean = float(gains.mean())
    return Improvement(mean=mean, lower=mean - _student(confidence, pairs - 1) * error, pairs=pairs)


def price_of(flops_ratio: float, share: float) -> float:
    """By how much faster a changed model has to learn per step to be worth its FLOPs until the budget ends.

    `flops_ratio` is what a step of it costs, in steps of the unchanged one; `share` is the part of the budget
    that is spent. Steps that cost more are missing at the end of the run, where each buys less than now:
    where the loss falls with the logarithm of the steps, `n` of them being made and `N` affordable without
    the change, it falls by `log(N / n)` without and by `log(N' / n)` with it, where
    `N' = n + (N - n) / flops_ratio`; the price is the ratio of the two. Where next to nothing is left it is
    `flops_ratio` itself.

    Known error: real curves fall more slowly than that at last, or faster while the learning rate decays; and
    a model that starts to learn cannot be told from one that has found its limit.
    """
    if not 0 < share < 1:
        return flops_ratio
    left = 1 / share - 1
    return math.log1p(left) / math.log1p(left / flops_ratio)


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
