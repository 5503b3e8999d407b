"""Factors and offsets, one for each channel or for each row, fitted by least squares."""

__all__ = ["Fit", "are_all_different", "fit_factors", "fit_offsets"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.compare.diagnosis.context import Context, explains

MIN_SAMPLES = 8
"""A factor is fitted to no fewer numbers: with one to each, any two tensors fit."""


MOSTLY = 0.5
"""Factors are one of each only if fewer than this part of them are 1: otherwise few places are wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The numbers of a fit and what they leave."""

    values: Tensor
    left: float
    """Norm of what is not explained, over that of `expected`."""


def are_all_different(fit: Fit) -> bool:
    """Whether the factors are neither one and the same nor, most of them, 1."""
    spread = float(fit.values.max() - fit.values.min())
    ones = float(((fit.values - 1).abs() <= 3 * fit.left).double().mean())
    return spread > 6 * fit.left and ones < MOSTLY


def fit_factors(context: Context, dim: int) -> Fit | None:
    """`actual = factors * expected`, a factor for each row (`dim` 0) or each channel (1).

    None where there are too few numbers for each.
    """
    return _best(context, dim, _factors)


def fit_offsets(context: Context, dim: int) -> Fit | None:
    """`actual = expected + offsets`, as `fit_factors`."""
    return _best(context, dim, _offsets)


def _best(context: Context, dim: int, fit: Callable[[Tensor, Tensor, int], Fit]) -> Fit | None:
    """The fit with the fewest values that explains the difference; where none does, the first."""
    fits = []
    for expected, actual in _matrices(context):
        if expected.shape[1 - dim] >= MIN_SAMPLES and expected.shape[dim] >= 2:
            fits.append(fit(expected, actual, dim))
            if explains(fits[-1].left, context.error, context.allowed):
                return fits[-1]
        if dim == 0:
            break
    return fits[0] if fits else None


def _factors(expected: Tensor, actual: Tensor, dim: int) -> Fit:
    squares = (expected * expected).sum(1 - dim, keepdim=True)
    factors = torch.where(squares > 0, (actual * expected).sum(1 - dim, keepdim=True) / squares, 1.0)
    return Fit(values=factors.flatten(), left=float((actual - factors * expected).norm() / expected.norm()))


def _offsets(expected: Tensor, actual: Tensor, dim: int) -> Fit:
    distance = actual - expected
    offsets = distance.mean(1 - dim, keepdim=True)
    return Fit(values=offsets.flatten(), left=float((distance - offsets).norm() / expected.norm()))


def _matrices(context: Context) -> Iterator[tuple[Tensor, Tensor]]:
    """Both windows as `[rows, channels]`: channels are the last dim, or another dim and the last one, for
    example heads and their channels."""
    expected, actual = context.expected_window, context.actual_window
    if expected.ndim < 2 or not expected.any():
        return
    yield tuple(side.reshape(-1, side.shape[-1]) for side in (expected, actual))  # type: ignore[misc]
    if expected.ndim < 3:
        return
    for dim in range(expected.ndim - 1):
        if expected.shape[dim] > 1:
            channels = expected.shape[dim] * expected.shape[-1]
            yield tuple(side.movedim(dim, -2).reshape(-1, channels) for side in (expected, actual))  # type: ignore[misc]
