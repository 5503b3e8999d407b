"""`actual - expected`, number by number, whatever the dtypes."""

__all__ = ["beyond", "gap", "moduli", "rough_gap"]

import torch
from torch import Tensor

_FLOAT32 = (torch.float32, torch.bfloat16, torch.float16)
"""Dtypes whose numbers float32 holds, as well as whether two of them are equal."""
_WIDE_INTEGERS = (torch.int64, torch.uint64)


def gap(actual: Tensor, expected: Tensor) -> Tensor:
    """What lies between two tensors of one shape, with its sign: 0 exactly where both are equal.

    float32 where both sides fit in it, else float64, computed in it. NaN against NaN is 0, as is an infinity
    against the same; NaN against a number is NaN, an infinity against anything else infinite. Of complex
    numbers the modulus of the difference.
    """
    if actual.is_complex() or expected.is_complex():
        return _of_complex(actual, expected)
    if _is_integer(actual) and _is_integer(expected):
        return _of_integers(actual, expected)
    if _is_integer(actual) or _is_integer(expected):
        return _of_mixed(actual, expected)
    one, other = _as_one_dtype(actual, expected)
    found = one - other
    if not bool(found.sum().isfinite()):
        _settle(found, one, other)
    return found


def rough_gap(actual: Tensor, expected: Tensor) -> Tensor:
    """As `gap`, a third faster, but NaN also where it is 0 there, between two NaN or two equal infinities."""
    if actual.is_floating_point() and expected.is_floating_point():
        one, other = _as_one_dtype(actual, expected)
        return one - other
    return gap(actual, expected)


def beyond(apart: Tensor, expected: Tensor, *, rtol: float, atol: float) -> Tensor:
    """Which gaps are larger than `atol + rtol * |expected|`; NaN and infinite ones are always."""
    if not rtol and not atol:
        return apart != 0
    sizes = moduli(expected) if expected.is_complex() else expected.double().abs()
    allowed = sizes.mul_(rtol).add_(atol) if rtol else torch.full_like(sizes, atol)
    size = apart.double().abs()
    return (size != 0) & (~(size <= allowed) | size.isinf())


def moduli(numbers: Tensor) -> Tensor:
    """float64: of complex numbers the modulus; NaN where a part is."""
    parts = torch.view_as_real(numbers).double()
    return parts[..., 0].hypot(parts[..., 1]).masked_fill_(parts.isnan().any(dim=-1), torch.nan)


def _as_one_dtype(actual: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    dtype = torch.float32 if {actual.dtype, expected.dtype} <= {*_FLOAT32} else torch.float64
    return actual.to(dtype), expected.to(dtype)


def _is_integer(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() and not tensor.is_complex()


def _settle(found: Tensor, one: Tensor, other: Tensor) -> None:
    """Equal infinities, and NaN against NaN, are no difference."""
    found.masked_fill_((one == other) | (one.isnan() & other.isnan()), 0.0)


def _of_integers(actual: Tensor, expected: Tensor) -> Tensor:
    if actual.dtype not in _WIDE_INTEGERS and expected.dtype not in _WIDE_INTEGERS:
        return actual.double() - expected.double()
    (high, low), (other_high, other_low) = _limbs(actual), _limbs(expected)
    # Each difference of limbs is exact in float64. Only their sum is rounded: never to 0 from beside it.
    return (high - other_high).double() * 2.0**32 + (low - other_low).double()


def _of_mixed(actual: Tensor, expected: Tensor) -> Tensor:
    if _is_integer(actual):
        return _to_float(actual, expected.double())
    return -_to_float(expected, actual.double())


def _to_float(whole: Tensor, values: Tensor) -> Tensor:
    """`whole - values`; float64 does not hold every integer."""
    if whole.dtype not in _WIDE_INTEGERS:
        return whole.double() - values
    high, low = _limbs(whole)
    near = whole.double() - values
    far = (high.double() * 2.0**32 - values) + low.double()
    return torch.where((high >= 1 << 20) | (high < -(1 << 20)), far, near)


def _limbs(whole: Tensor) -> tuple[Tensor, Tensor]:
    """Integers as `high * 2**32 + low`, both int64, `low` from 0 on."""
    if whole.dtype == torch.uint64:
        codes = whole.view(torch.int64)
        return (codes >> 32) & 0xFFFFFFFF, codes & 0xFFFFFFFF
    codes = (whole.view(torch.uint8) if whole.dtype == torch.bool else whole).long()
    return codes >> 32, codes & 0xFFFFFFFF


def _of_complex(actual: Tensor, expected: Tensor) -> Tensor:
    parts = []
    for part in ("real", "imag"):
        one, other = (
            getattr(side, part).double() if side.is_complex() else _real_part(side, part)
            for side in (actual, expected)
        )
        found = one - other
        _settle(found, one, other)
        parts.append(found)
    return parts[0].hypot(parts[1]).masked_fill_(parts[0].isnan() | parts[1].isnan(), torch.nan)


def _real_part(side: Tensor, part: str) -> Tensor:
    return side.double() if part == "real" else torch.zeros(side.shape, dtype=torch.float64)
