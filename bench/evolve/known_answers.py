"""Draws whose information, redundancy or likeness is known, Gaussian and not."""

__all__ = ["CASES", "Known"]

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

Draw = Callable[[Generator], tuple[Tensor, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One case."""

    measure: str
    name: str
    truth: float
    draw: Draw
    plain: Callable[..., float] | None = None
    """What the textbook form of the measure gives."""
    says: str = ""
    """What the case shows."""


def _normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _gaussians(dims: int, correlation: float, samples: int = 1000) -> Draw:
    def draw(generator: Generator) -> tuple[Tensor, Tensor]:
        one, noise = _normal(generator, samples, dims), _normal(generator, samples, dims)
        return one, correlation * one + math.sqrt(1 - correlation**2) * noise

    return draw


def _gaussian_truth(dims: int, correlation: float) -> float:
    return dims / 2 * math.log(1 / (1 - correlation**2))


def _bent(generator: Generator) -> tuple[Tensor, Tensor]:
    one, other = _gaussians(2, 0.7)(generator)
    return one.exp(), other**3


def _parabola(generator: Generator) -> tuple[Tensor, Tensor]:
    one = _normal(generator, 1000, 1)
    return one, one**2 + 0.5 * _normal(generator, 1000, 1)


def _parabola_truth() -> float:
    """`h(y) - h(noise)`, the density of `y` summed on a grid."""
    x = torch.linspace(-6, 6, 2001, dtype=torch.float64)
    y = torch.linspace(-4, 30, 4001, dtype=torch.float64)
    weights = torch.exp(-(x**2) / 2)
    weights /= weights.sum()
    density = torch.exp(-((y[:, None] - x**2) ** 2) / 0.5) @ weights / math.sqrt(0.5 * math.pi)
    step = float(y[1] - y[0])
    entropy = -float(torch.xlogy(density, density).sum()) * step
    return entropy - 0.5 * math.log(2 * math.pi * math.e * 0.25)


def _signs(generator: Generator) -> tuple[Tensor, Tensor]:
    return (torch.randint(2, (1000, 2), generator=generator) * 2.0 - 1,)


def _exclusive_or(generator: Generator) -> tuple[Tensor, Tensor]:
    (signs,) = _signs(generator)
    return signs, (signs.prod(1) > 0).long()


def _exclusive_or_of_numbers(generator: Generator) -> tuple[Tensor, Tensor]:
    (signs,) = _signs(generator)
    return signs, signs.prod(1, keepdim=True)


def _shifted(generator: Generator) -> tuple[Tensor, Tensor]:
    labels = torch.randint(2, (1000,), generator=generator)
    return _normal(generator, 1000, 1) + 2.0 * labels[:, None], labels


def _shifted_truth() -> float:
    """Two Gaussians two apart: `h(mixture) - h(Gaussian)` on a grid."""
    x = torch.linspace(-10, 12, 20001, dtype=torch.float64)
    density = (torch.exp(-(x**2) / 2) + torch.exp(-((x - 2) ** 2) / 2)) / (2 * math.sqrt(2 * math.pi))
    entropy = -float(torch.xlogy(density, density).sum()) * float(x[1] - x[0])
    return entropy - 0.5 * math.log(2 * math.pi * math.e)


def _channel(flipped: float) -> Draw:
    def draw(generator: Generator) -> tuple[Tensor, Tensor]:
        bit = torch.randint(2, (1000,), generator=generator)
        received = bit ^ (torch.rand(1000, generator=generator) < flipped).long()
        return torch.cat([received[:, None] * 2.0 - 1, _normal(generator, 1000, 9)], 1), bit

    return draw


def _channel_truth(flipped: float) -> float:
    return math.log(2) + flipped * math.log(flipped) + (1 - flipped) * math.log(1 - flipped)


def _noise_with_labels(generator: Generator) -> tuple[Tensor, Tensor]:
    return _normal(generator, 500, 400), torch.randint(10, (500,), generator=generator)


def _classes(generator: Generator) -> tuple[Tensor, Tensor]:
    labels = torch.arange(1000) % 10
    return F.one_hot(labels, 10) * 5.0 + _normal(generator, 1000, 10), labels


def _independent(samples: int, channels: int) -> Draw:
    return lambda generator: (_normal(generator, samples, channels),)


def _doubled(generator: Generator) -> tuple[Tensor]:
    half = _normal(generator, 500, 20)
    return (torch.cat([half, half * 3 - 1], 1),)


def _correlated_pair(generator: Generator) -> tuple[Tensor]:
    return (torch.cat(_gaussians(1, 0.6)(generator), 1),)


def _two_independent(generator: Generator) -> tuple[Tensor, Tensor]:
    return _normal(generator, 200, 1000), _normal(generator, 200, 1000)


def _rotated(generator: Generator) -> tuple[Tensor, Tensor]:
    values = _normal(generator, 200, 30)
    return values, values @ torch.linalg.qr(_normal(generator, 30, 30))[0] * 4 + 1


def _half_shared(generator: Generator) -> tuple[Tensor, Tensor]:
    shared, one, other = (_normal(generator, 500, 20) for _ in range(3))
    return torch.cat([shared, one], 1), torch.cat([shared, other], 1)


def _plain_r2(values: Tensor) -> float:
    """In the sample."""
    centred = values - values.mean(0)
    correlations = torch.corrcoef(centred.T)
    inverse = torch.linalg.inv(correlations + 1e-9 * torch.eye(len(correlations), dtype=torch.float64))
    return float((1 - 1 / inverse.diagonal()).clamp(0, 1).mean())


def _plain_cka(one: Tensor, other: Tensor) -> float:
    one, other = one - one.mean(0), other - other.mean(0)
    return float((one.T @ other).norm() ** 2 / ((one.T @ one).norm() * (other.T @ other).norm()))


def _bins(one: Tensor, other: Tensor) -> float:
    """30 bins a side, the first dim of each."""
    counts = torch.histogramdd(torch.stack([one[:, 0], other[:, 0]], 1), [30, 30]).hist
    shares = counts / counts.sum()

    def entropy(values: Tensor) -> float:
        return -float(torch.xlogy(values, values).sum())

    return entropy(shares.sum(0)) + entropy(shares.sum(1)) - entropy(shares)


CASES: tuple[Known, ...] = (
    *(
        Known(
            measure="dependence",
            name=f"Gaussians, {dims} dims, correlation {correlation}",
            truth=_gaussian_truth(dims, correlation),
            draw=_gaussians(dims, correlation),
            plain=_bins if dims == 1 else None,
            says="ten of its dims are looked at" if dims > 10 else "",
        )
        for dims, correlation in ((1, 0.0), (1, 0.9), (5, 0.0), (5, 0.7), (10, 0.5), (20, 0.7))
    ),
    Known(
        measure="dependence",
        name="the same with exp and cube as marginals, 2 dims, correlation 0.7",
        truth=_gaussian_truth(2, 0.7),
        draw=_bent,
        says="marginals do not matter",
    ),
    Known(
        measure="dependence",
        name="two classes two standard deviations apart",
        truth=_shifted_truth(),
        draw=_shifted,
        says="never too high for one dim",
    ),
    Known(
        measure="dependence",
        name="y = x² + noise",
        truth=_parabola_truth(),
        draw=_parabola,
        says="cannot be seen: ranks are uncorrelated",
    ),
    Known(
        measure="dependence",
        name="exclusive or of two signs",
        truth=math.log(2),
        draw=_exclusive_or_of_numbers,
        says="cannot be seen",
    ),
    *(
        Known(
            measure="relevance",
            name=f"a bit flipped with probability {flipped}, beside 9 dims of noise",
            truth=_channel_truth(flipped),
            draw=_channel(flipped),
        )
        for flipped in (0.05, 0.2, 0.4)
    ),
    Known(
        measure="relevance",
        name="two classes two standard deviations apart",
        truth=_shifted_truth(),
        draw=_shifted,
    ),
    Known(measure="relevance", name="ten classes well apart", truth=math.log(10), draw=_classes),
    Known(
        measure="relevance",
        name="noise of 400 dims, 500 samples, 10 classes",
        truth=0.0,
        draw=_noise_with_labels,
    ),
    Known(
        measure="relevance",
        name="exclusive or of two signs",
        truth=math.log(2),
        draw=_exclusive_or,
        says="cannot be seen: not linear",
    ),
    Known(
        measure="redundancy",
        name="independent channels, 99 of them, 100 samples",
        truth=0.0,
        draw=_independent(100, 99),
        plain=_plain_r2,
    ),
    Known(
        measure="redundancy",
        name="independent channels, 64 of them, 500 samples",
        truth=0.0,
        draw=_independent(500, 64),
        plain=_plain_r2,
    ),
    Known(
        measure="redundancy",
        name="20 channels, each twice",
        truth=1.0,
        draw=_doubled,
        plain=_plain_r2,
    ),
    Known(
        measure="redundancy",
        name="two channels of correlation 0.6",
        truth=0.36,
        draw=_correlated_pair,
        plain=_plain_r2,
    ),
    Known(
        measure="likeness",
        name="independent, 1,000 channels each, 200 samples",
        truth=0.0,
        draw=_two_independent,
        plain=_plain_cka,
    ),
    Known(measure="likeness", name="rotated and scaled", truth=1.0, draw=_rotated, plain=_plain_cka),
    Known(
        measure="likeness",
        name="half of 40 channels shared",
        truth=0.5,
        draw=_half_shared,
        plain=_plain_cka,
    ),
)
