"""Factors and offsets, one for each channel or for each row, fitted by least squares."""

__all__ = ["Fit", "are_all_different", "fit_factors", "fit_offsets"]

from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.compare.diagnosis.context import Context

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
    """`actual = factors * expected`, a factor for each entry of the flattened rows (`dim` 0) or channels (1).

    None where there are too few numbers for each.
    """
    expected, actual = _as_matrix(context.expected_window), _as_matrix(context.actual_window)
    if expected is None or actual is None or expected.shape[1 - dim] < MIN_SAMPLES or expected.shape[dim] < 2:
        return None
    squares = (expected * expected).sum(1 - dim, keepdim=True)
    factors = torch.where(squares > 0, (actual * expected).sum(1 - dim, keepdim=True) / squares, 1.0)
    return Fit(values=factors.flatten(), left=float((actual - factors * expected).norm() / expected.norm()))


def fit_offsets(context: Context, dim: int) -> Fit | None:
    """`actual = expected + offsets`, as `fit_factors`."""
    expected, actual = _as_matrix(context.expected_window), _as_matrix(context.actual_window)
    if expected is None or actual is None or expected.shape[1 - dim] < MIN_SAMPLES or expected.shape[dim] < 2:
        return None
    distance = actual - expected
    offsets = distance.mean(1 - dim, keepdim=True)
    return Fit(values=offsets.flatten(), left=float((distance - offsets).norm() / expected.norm()))


def _as_matrix(tensor: Tensor) -> Tensor | None:
    """`[rows, channels]`; None for tensors of less than two dims, and for zeros."""
    if tensor.ndim < 2 or not tensor.any():
        return None
    return tensor.reshape(-1, tensor.shape[-1])
