"""Quantized tensors: their codes, and the numbers that these stand for."""

__all__ = ["quantized_leaf"]

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from outgrow.compare.readers.advice import COPY_AGAIN
from outgrow.compare.readers.files.pickle_machine import Global
from outgrow.compare.readers.tree import Leaf, Part
from outgrow.errors import InputError

_STEP = 2**20


def quantized_leaf(codes: Part, parameters: Any, leaf_of: Callable[[Any], Leaf]) -> Leaf:
    """Two parts: the numbers in float32 as `Tensor.dequantize` gives them, and `.codes`.

    `parameters` are the scheme and its numbers as in the pickle; `leaf_of` understands a tensor in it.

    Raises:
        InputError: the scheme is unknown, or its numbers do not fit.
    """
    scheme = parameters[0].name if isinstance(parameters[0], Global) else ""
    if scheme in ("torch.per_tensor_affine", "torch.per_tensor_symmetric") and len(parameters) == 3:
        _, scale, zero = parameters
        if type(scale) is not float or type(zero) is not int or abs(zero) >= 2**31:
            raise InputError("is quantized with a scale or zero point that is no number", hint=COPY_AGAIN)

        def read() -> Tensor:
            flat = codes.read().reshape(-1)
            numbers = torch.empty(flat.shape, dtype=torch.float32)
            for part in _pieces(len(flat), 1):
                numbers[part] = (flat[part].to(torch.float64) - zero).to(torch.float32) * scale
            return numbers.reshape(codes.shape)
    elif scheme.startswith("torch.per_channel_affine") and len(parameters) == 4:
        _, scales, zeros, axis = parameters
        if type(axis) is not int or not 0 <= axis < len(codes.shape):
            raise InputError("is quantized along a dim that it has not", hint=COPY_AGAIN)
        by_channel = [_channels(part, leaf_of, codes.shape[axis]) for part in (scales, zeros)]

        def read() -> Tensor:
            scale, zero = (
                part().to(torch.float64).reshape(-1, *[1] * (len(codes.shape) - 1)) for part in by_channel
            )
            numbers = torch.empty(codes.shape, dtype=torch.float32)
            rows, found = codes.read().movedim(axis, 0), numbers.movedim(axis, 0)
            for part in _pieces(len(rows), rows[:1].numel()):
                found[part] = ((rows[part].to(torch.float64) - zero[part]) * scale[part]).to(torch.float32)
            return numbers
    else:
        raise InputError(
            f"is quantized by a scheme that is not read: {scheme or 'unknown'}",
            hint="save the tensor's dequantize() instead",
        )
    numbers = Part(torch.float32, codes.shape, read, expanded_bytes=codes.expanded_bytes)
    return Leaf((numbers, Part(codes.dtype, codes.shape, codes.read, ".codes", codes.expanded_bytes)))


def _pieces(count: int, width: int) -> Iterator[slice]:
    """Slices of `count` rows of `width` numbers, small enough that float64 numbers of them do no harm."""
    step = max(1, _STEP // max(width, 1))
    for begin in range(0, count, step):
        yield slice(begin, begin + step)


def _channels(value: Any, leaf_of: Callable[[Any], Leaf], count: int) -> Callable[[], Tensor]:
    """The scale or zero point of each channel: a tensor, or a list of numbers."""
    if isinstance(value, list):
        if len(value) != count or not all(type(part) in (int, float) for part in value):
            raise InputError("is quantized with a list that does not fit its channels", hint=COPY_AGAIN)
        return lambda: torch.tensor(value, dtype=torch.float64)
    part = leaf_of(value).parts[0]
    if part.shape != (count,):
        raise InputError(
            f"is quantized with {list(part.shape)} scales for {count:,} channels", hint=COPY_AGAIN
        )
    return part.read
