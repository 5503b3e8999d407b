"""Numbers such as models have, and faults such as ports of them have."""

__all__ = ["FAULTS", "KINDS", "add_noise"]

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from bench.matching.grid import Sizes


def _gaussian(sizes: Sizes, generator: Generator) -> Tensor:
    return torch.randn(sizes.shape, generator=generator)


def _activations(sizes: Sizes, generator: Generator) -> Tensor:
    """Channels of different scale and offset, a few of them huge, and tokens like their neighbours."""
    batch, tokens, heads, size = sizes.shape
    walk = torch.randn(batch, tokens, heads, size, generator=generator)
    smooth = 0.6 * walk + 0.8 * walk.roll(1, dims=1)
    scale = torch.exp(torch.randn(heads, size, generator=generator))
    offset = torch.randn(heads, size, generator=generator)
    huge = torch.rand(heads, size, generator=generator) < 0.01
    return smooth * scale + offset + 40.0 * huge


def _rectified(sizes: Sizes, generator: Generator) -> Tensor:
    """Mostly zeros."""
    return torch.relu(torch.randn(sizes.shape, generator=generator) - 1.2)


KINDS: dict[str, Callable[[Sizes, Generator], Tensor]] = {
    "gaussian": _gaussian,
    "activations": _activations,
    "rectified": _rectified,
}


def add_noise(x: Tensor, amount: float, generator: Generator) -> Tensor:
    """Noise of so much of the spread of the numbers, in every one of them."""
    if not amount:
        return x
    return x + amount * x.std() * torch.randn(x.shape, generator=generator)


def _half_of_tokens(x: Tensor, generator: Generator) -> Tensor:
    """The second half of the tokens belongs to another prompt."""
    half = x.shape[1] // 2
    other = x[:, torch.randperm(x.shape[1], generator=generator)].flip(0)[:, half:]
    return torch.cat([x[:, :half], other + x.std() * torch.randn(other.shape, generator=generator)], dim=1)


def _heads_exchanged(x: Tensor, generator: Generator) -> Tensor:
    order = list(range(x.shape[2]))
    order[0], order[-1] = order[-1], order[0]
    return x[:, :, order]


def _other_numbers(x: Tensor, generator: Generator) -> Tensor:
    return x[torch.randperm(len(x), generator=generator)] * 0 + x.std() * torch.randn(
        x.shape, generator=generator
    )


def _some_nan(x: Tensor, generator: Generator) -> Tensor:
    return x.masked_fill(torch.rand(x.shape, generator=generator) < 0.3, torch.nan)


FAULTS: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "half of the tokens": _half_of_tokens,
    "two heads exchanged": _heads_exchanged,
    "scaled": lambda x, _: x * 0.125,
    "shifted by a token": lambda x, _: x.roll(1, dims=1),
    "noise of 100 %": lambda x, generator: add_noise(x, 1.0, generator),
    "a third is NaN": _some_nan,
    "halves of heads swapped": lambda x, _: x.roll(x.shape[3] // 2, dims=3),
    "other numbers": _other_numbers,
}
