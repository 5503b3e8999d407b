"""What few elements of a pair tell that sums do not: how fine the numbers are, and which are lost."""

__all__ = ["SampleFigures", "sample", "size_around"]

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Numbers = np.ndarray[Any, Any]

_ELEMENTS = 1024
_ELEMENTS_OF_A_SLICE = 256
_GOLDEN = (math.sqrt(5) - 1) / 2
"""Places at multiples of it are spread evenly and fall into step with no dim."""
_NOT_SMALL = 1 / 8
"""Numbers of at least this part of the root mean square are not 0 by rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFigures:
    """Of up to 1024 elements, spread evenly, in the same places on both sides."""

    elements: int
    """How many of them are finite on both sides."""
    expected_digits: int | None
    """Significant bits of the finest number: at most 8 for bfloat16, 11 for float16, 24 for float32. None
    where all are 0 or none is a float."""
    actual_digits: int | None
    lost: int
    """Elements that are exactly 0 on one side and not small on the other."""


def sample(actual: Tensor, expected: Tensor) -> SampleFigures:
    """Look at few elements of two tensors of one shape. Complex numbers count by their real parts."""
    places = _places(expected.numel())
    one, other = _values(actual, places), _values(expected, places)
    finite = np.isfinite(one) & np.isfinite(other)
    one, other = one[finite], other[finite]
    larger = np.maximum(np.abs(one), np.abs(other))
    with np.errstate(over="ignore"):
        typical = math.sqrt(max(_squares(one), _squares(other)) / max(1, len(one)))
    lost = ((one == 0) != (other == 0)) & (larger >= _NOT_SMALL * typical)
    return SampleFigures(
        elements=len(one),
        expected_digits=_digits(other) if _is_float(expected) else None,
        actual_digits=_digits(one) if _is_float(actual) else None,
        lost=int(np.count_nonzero(lost)),
    )


def size_around(tensor: Tensor, index: tuple[int, ...]) -> float:
    """How large numbers are where one stands: its own size plus the largest root mean square of its row, its
    channel, its head: of the slices that hold one entry of a dim. Slices are sampled. NaN where the number is
    not finite."""
    sizes = []
    for dim in range(tensor.ndim):
        part = tensor.detach().select(dim, index[dim])
        values = _values(part, _places(part.numel(), _ELEMENTS_OF_A_SLICE))
        values = values[np.isfinite(values)]
        with np.errstate(over="ignore"):
            sizes.append(math.sqrt(_squares(values) / max(1, len(values))))
    number = tensor[index]
    own = abs(complex(number) if tensor.is_complex() else float(number))
    return own + max(sizes, default=0.0) if math.isfinite(own) else math.nan


def _squares(values: Numbers) -> float:
    """Their sum, one after the other, as the compiled kernel adds them."""
    return float(np.add.accumulate(values * values)[-1]) if len(values) else 0.0


def _is_float(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _places(elements: int, count: int = _ELEMENTS) -> Numbers:
    if elements <= count:
        return np.arange(elements)
    return (np.arange(count) * _GOLDEN % 1.0 * elements).astype(np.int64)


def _values(tensor: Tensor, places: Numbers) -> Numbers:
    """float64. Elements are picked one by one, so that a tensor in any order of memory is not copied."""
    tensor = tensor.detach()
    if tensor.is_contiguous():
        picked = tensor.view(-1)[torch.from_numpy(places).to(tensor.device)]
    else:
        picked = tensor[tuple(torch.from_numpy(axis) for axis in np.unravel_index(places, tensor.shape))]
    picked = picked.cpu()
    values: Numbers = (picked.real if picked.is_complex() else picked).double().numpy()
    return values


def _digits(values: Numbers) -> int | None:
    values = values[values != 0]
    if not len(values):
        return None
    mantissas = (np.frexp(np.abs(values))[0] * 2.0**53).astype(np.int64)
    return 54 - int(np.min(mantissas & -mantissas)).bit_length()
