"""Numbers of a finer dtype as those of a coarser one, rounded once."""

__all__ = ["coarser", "ordered_in"]

import torch
from torch import Tensor

from outgrow.difference.numbers import E8M0, INTS, Numbers, sign_magnitude

_MANTISSA_BITS = {
    torch.float64: 52,
    torch.float32: 23,
    torch.float16: 10,
    torch.bfloat16: 7,
    torch.float8_e4m3fn: 3,
    torch.float8_e4m3fnuz: 3,
    torch.float8_e5m2: 2,
    torch.float8_e5m2fnuz: 2,
}


def coarser(actual: torch.dtype, expected: torch.dtype) -> torch.dtype | None:
    """In which of two real dtypes steps are counted: the one with fewer bits of mantissa, a float rather than
    an integer, `expected` where they are equal; None where both are integers.

    The powers of two of `float8_e8m0fnu`, which have no sign, are float32 beside another dtype.
    """
    if actual == expected == E8M0:
        return actual
    one, other = (torch.float32 if dtype == E8M0 else dtype for dtype in (actual, expected))
    floats = [dtype for dtype in (other, one) if dtype in _MANTISSA_BITS]
    return min(floats, key=_MANTISSA_BITS.__getitem__) if floats else None


def ordered_in(dtype: torch.dtype, plain: Tensor, numbers: Numbers) -> Tensor:
    """`Numbers.ordered` of these numbers in another dtype, to the nearest, ties to even.

    What lies beyond the largest number of the dtype is one step past it, also where the dtype has no
    infinity.
    """
    if plain.dtype == dtype:
        return numbers.ordered
    values = _odd_double(plain) if numbers.is_integer and dtype != torch.float64 else numbers.values
    nearest = values.to(dtype) if dtype in (torch.float64, torch.float32) else _odd_float(values).to(dtype)
    width = 8 * dtype.itemsize
    ordered = sign_magnitude(nearest.view(INTS[dtype.itemsize]).long(), width)
    top = torch.full((), torch.finfo(dtype).max, dtype=dtype)
    code = int(top.view(INTS[dtype.itemsize]))
    below = torch.tensor(code - 1, dtype=INTS[dtype.itemsize]).view(dtype)
    if dtype != torch.float64:
        # Half a step past the largest number is a tie, which an odd code loses.
        limit = float(top) + (float(top) - float(below)) / 2
        is_over = values.abs() >= limit if code & 1 else values.abs() > limit
    else:
        is_over = values.isinf()
    return torch.where(is_over, torch.where(values < 0, -code - 1, code + 1), ordered)


def _odd_float(values: Tensor) -> Tensor:
    """float64 as float32, inexact ones to the neighbour with an odd code: to round that is to round once.

    Source: Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved algorithms using
    rounding to odd".
    """
    nearest = values.float()
    back = nearest.double()
    codes = nearest.view(torch.int32)
    is_past = back.abs() > values.abs()
    odd = (codes - is_past.int()) | 1
    return torch.where(back == values, codes, odd).view(torch.float32)


def _odd_double(plain: Tensor) -> Tensor:
    """Integers as float64, those that it cannot hold to an odd neighbour."""
    if plain.dtype == torch.uint64:
        whole = plain.view(torch.int64)
        high, low = (whole >> 32) & 0xFFFFFFFF, whole & 0xFFFFFFFF
    else:
        whole = (plain.view(torch.uint8) if plain.dtype == torch.bool else plain).long()
        high, low = whole >> 32, whole & 0xFFFFFFFF
    is_large = (high >= 1 << 21) | (high < -(1 << 21))
    sticky = (low >> 11 << 11) | (((low & 0x7FF) != 0).long() << 11)
    return high.double() * 2.0**32 + torch.where(is_large, sticky, low).double()
