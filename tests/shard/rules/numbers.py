"""Random numbers of samples, the same at every run."""

import torch

_GENERATOR = torch.Generator()


def seed(number: int) -> None:
    _GENERATOR.manual_seed(number)


def order_of(count: int) -> torch.Tensor:
    return torch.randperm(count, generator=_GENERATOR)


def real(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=_GENERATOR)


def positive(*shape: int) -> torch.Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=_GENERATOR) * 0.8 + 0.1


def whole(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(high, shape, generator=_GENERATOR)


def mask(*shape: int) -> torch.Tensor:
    return whole(2, *shape).bool()


def distinct(*shape: int) -> torch.Tensor:
    count = torch.Size(shape).numel()
    return order_of(count).reshape(shape).double()


def complex_(*shape: int) -> torch.Tensor:
    return torch.complex(real(*shape), real(*shape))
