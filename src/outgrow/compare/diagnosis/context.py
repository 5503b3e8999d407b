"""What a diagnoser may look at: the tensors of one wrong pair, and what surrounds them."""

__all__ = ["Context", "explains", "relative_error", "window"]

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.compare.finding import Finding

WINDOW_ELEMENTS = 2**20
"""Diagnosers that try many hypotheses look at a part of a tensor that is no larger: 8 MiB in float64."""
CLEARLY_LESS = 4.0
"""A hypothesis explains a difference only if it leaves less than one part in so many of it."""
FAINT = 20.0
"""It may leave more than rounding does, but not more than one part in so many: noise of another kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One wrong pair. Tensors are as they were recorded. The windows are the same part of both in float64,
    with the worst element in it; where one of them is not finite, both are 0."""

    finding: Finding
    expected: Tensor
    actual: Tensor
    """Laid out like `expected`."""
    expected_window: Tensor
    actual_window: Tensor
    origin: tuple[int, ...]
    """Index of the window's first element in the tensors."""
    before: Sequence[Finding]
    """All pairs before this one, in order of execution."""
    beside: Sequence[Finding]
    """Other pairs of the same stage, nearest layers first."""
    read: Callable[[Finding], tuple[Tensor, Tensor]]
    """The actual and the expected tensor of another pair, as `actual` and `expected` here.

    Raises:
        StoreError: the bytes cannot be read.
    """
    allowed: float
    """Relative error that rounding explains here."""

    @property
    def error(self) -> float:
        """Relative Frobenius error of the windows."""
        return relative_error(self.actual_window, self.expected_window)

    def window_of(self, tensor: Tensor) -> Tensor:
        """The same part of another tensor of this shape."""
        shape = self.expected_window.shape
        for dim, (start, size) in enumerate(zip(self.origin, shape, strict=True)):
            tensor = tensor.narrow(dim, start, size)
        return as_double(tensor)


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm of `expected`, over elements finite on both sides; 0.0 for two
    tensors of zeros, infinite where only `expected` is zero."""
    finite = actual.isfinite() & expected.isfinite()
    distance = torch.where(finite, actual - expected, 0).norm()
    norm = torch.where(finite, expected, 0).norm()
    if norm == 0:
        return float("inf") if distance > 0 else 0.0
    return float(distance / norm)


def explains(left: float, error: float, allowed: float) -> bool:
    """Whether a hypothesis that leaves the relative error `left` of `error` is more than a good guess. One
    that leaves an infinite error, as where zeros are expected, explains nothing."""
    return math.isfinite(left) and left * CLEARLY_LESS <= error and left <= max(allowed, error / FAINT)


def as_double(tensor: Tensor) -> Tensor:
    """In float64, or complex128 for complex numbers."""
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


def window(
    expected: Tensor, actual: Tensor, around: Sequence[int], *, elements: int = WINDOW_ELEMENTS
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """The same contiguous part of two tensors of one shape, with `around` in it, and where it starts.

    The last dim is cut last: it holds channels, whose order is what most hypotheses are about.
    """
    sizes = list(expected.shape)
    while (count := torch.Size(sizes).numel()) > elements:
        leading = range(len(sizes) - 1)
        dim = max(leading, key=lambda dim: sizes[dim], default=-1)
        if dim < 0 or sizes[dim] == 1:
            dim = len(sizes) - 1
        sizes[dim] = max(1, min(sizes[dim] - 1, sizes[dim] * elements // count))
    starts = tuple(
        max(0, min(index - size // 2, whole - size))
        for index, size, whole in zip(around, sizes, expected.shape, strict=True)
    )
    for dim, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        expected, actual = expected.narrow(dim, start, size), actual.narrow(dim, start, size)
    return as_double(expected), as_double(actual), starts
