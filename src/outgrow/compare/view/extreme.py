"""The number of largest magnitude of each block of a rectangle."""

__all__ = ["extremes", "largest_of"]

from typing import Any

import numpy as np
import torch
from torch import Tensor

from outgrow.compare.view.gap import moduli

Pixels = np.ndarray[Any, Any]

_CODES = {torch.float64: np.int64, torch.float32: np.int32, torch.float16: np.int16, torch.bfloat16: np.int16}
_UNSIGNED = {8: np.uint64, 4: np.uint32, 2: np.uint16}
_TORCH_CODES = {8: torch.int64, 4: torch.int32, 2: torch.int16}
_FEW = 16
"""Up to here blocks are reduced a column of them at a time, beyond each by itself."""
_MOST = float(np.finfo(np.float32).max)
_LEAST = float(np.finfo(np.float32).smallest_subnormal)


def extremes(block: Tensor, height: int, width: int) -> Pixels:
    """`[rows, columns]` to `[ceil(rows / height), ceil(columns / width)]`, float32: of each `height x width`
    numbers the one of largest magnitude with its sign. NaN is larger than all, infinities are larger than
    numbers. Of complex numbers the modulus. Only 0 becomes 0, only infinities infinite.
    """
    if block.is_complex():
        block = moduli(block)
    if block.dtype in _CODES:
        # Bit patterns of floats are in the order of their magnitudes, NaN last: read with a sign the largest
        # is the largest positive number, read without one the largest negative one. Two passes, no copy.
        if block.stride(1) != 1:
            block = block.contiguous()
        size = block.dtype.itemsize
        codes: Pixels = block.view(_TORCH_CODES[size]).numpy()
        high = _reduced(codes, height, width)
        low = _reduced(codes.view(_UNSIGNED[size]), height, width).view(codes.dtype)
        most = np.iinfo(codes.dtype).max
        chosen = np.where((low & most) > (high & most), low, high)
        return _float32(torch.from_numpy(chosen).view(block.dtype))
    if block.is_floating_point():
        return extremes(block.float(), height, width)
    numbers: Pixels = (block.view(torch.uint8) if block.dtype == torch.bool else block).numpy()
    high = _reduced(numbers, height, width).astype(np.float64)
    if block.dtype in (torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64):
        return _float32(torch.from_numpy(high))
    low = -_reduced(numbers, height, width, np.minimum).astype(np.float64)
    return _float32(torch.from_numpy(np.where(low > np.abs(high), -low, high)))


def largest_of(one: Pixels, other: Pixels) -> Pixels:
    """Of two float32 arrays of one shape at each place the number of largest magnitude."""
    codes, others = one.view(np.int32), other.view(np.int32)
    most = np.iinfo(np.int32).max
    return np.where((others & most) > (codes & most), other, one)


def _reduced(numbers: Pixels, height: int, width: int, largest: Any = np.maximum) -> Pixels:
    if height > 1:
        numbers = _down(numbers, height, largest)
    if width > 1:
        numbers = _across(numbers, width, largest)
    return np.ascontiguousarray(numbers)


def _down(numbers: Pixels, height: int, largest: Any) -> Pixels:
    rows, columns = numbers.shape
    whole = rows // height * height
    parts = []
    if whole:
        parts.append(largest.reduce(numbers[:whole].reshape(whole // height, height, columns), axis=1))
    if whole < rows:
        parts.append(largest.reduce(numbers[whole:], axis=0, keepdims=True))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _across(numbers: Pixels, width: int, largest: Any) -> Pixels:
    rows, columns = numbers.shape
    whole = columns // width * width
    parts = []
    if whole and width <= _FEW:
        found = numbers[:, 0:whole:width].copy()
        for column in range(1, width):
            largest(found, numbers[:, column:whole:width], out=found)
        parts.append(found)
    elif whole:
        parts.append(largest.reduce(numbers[:, :whole].reshape(rows, whole // width, width), axis=2))
    if whole < columns:
        parts.append(largest.reduce(numbers[:, whole:], axis=1, keepdims=True))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _float32(numbers: Tensor) -> Pixels:
    """Numbers that float32 does not hold become the nearest that is no infinity and not 0."""
    found: Pixels = numbers.float().numpy()
    if numbers.dtype == torch.float64:
        wide: Pixels = numbers.numpy()
        is_over, is_under = np.isinf(found) & ~np.isinf(wide), (found == 0) & (wide != 0)
        if is_over.any() or is_under.any():
            found = np.where(is_over, np.copysign(np.float32(_MOST), wide), found)
            found = np.where(is_under, np.copysign(np.float32(_LEAST), wide), found).astype(np.float32)
    return found
