"""How far the numbers of a chunk are apart, whatever dtypes they are of."""

__all__ = ["Apart"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.compare.kernel.rounding import coarser, ordered_in
from outgrow.difference.numbers import INT64_MIN, Numbers, steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """What lies between the two sides of a chunk."""

    distances: Tensor
    """`[elements, parts]`, float64; infinite where NaN or an infinity stands against something else."""
    moduli: Tensor
    """`[elements]`: of each element, whatever parts it has."""
    at: int
    """Which is the largest: the first."""
    largest: float
    """The distance there, an exact `int` between integers."""
    max_ulp: int
    """Where NaN stands only against NaN."""

    @classmethod
    def between(
        cls, plain_actual: Tensor, plain_expected: Tensor, actual: Numbers, expected: Numbers
    ) -> "Apart":
        """Both sides as `difference.numbers.plain` gives them, and taken apart."""
        if actual.is_integer and expected.is_integer:
            return cls._of_integers(plain_actual, plain_expected)
        if actual.is_integer != expected.is_integer:
            whole, other = (plain_actual, expected) if actual.is_integer else (plain_expected, actual)
            distances = _to_integers(whole, other.values)
        else:
            distances = (actual.values - expected.values).abs()
        if any(bool(mask.any()) for mask in (actual.nan, actual.inf, expected.nan, expected.inf)):
            distances.masked_fill_((actual.values == expected.values) & actual.inf, 0.0)
            distances.masked_fill_(actual.nan & expected.nan, 0.0)
            distances.masked_fill_(actual.nan != expected.nan, math.inf)
        moduli = distances[:, 0] if distances.shape[1] == 1 else distances[:, 0].hypot(distances[:, 1])
        largest = moduli.max()
        at = int((moduli == largest).byte().argmax())
        return cls(
            distances=distances,
            moduli=moduli,
            at=at,
            largest=float(largest),
            max_ulp=_max_ulp(plain_actual, plain_expected, actual, expected),
        )

    @classmethod
    def _of_integers(cls, plain_actual: Tensor, plain_expected: Tensor) -> "Apart":
        (high, low), (other_high, other_low) = _limbs(plain_actual), _limbs(plain_expected)
        high, low = high - other_high, low - other_low
        high, low = high + (low >> 32), low & 0xFFFFFFFF
        is_negative, borrows = high < 0, (low != 0).long()
        high = torch.where(is_negative, -high - borrows, high)
        low = torch.where(is_negative, (2**32 - low) & 0xFFFFFFFF, low)[:, 0]
        distances = high.double() * 2.0**32 + low.double().unsqueeze(1)
        high = high[:, 0]
        top = high.max()
        at = int(torch.where(high == top, low, -1).argmax())
        largest = (int(high[at]) << 32) + int(low[at])
        return cls(distances=distances, moduli=distances[:, 0], at=at, largest=largest, max_ulp=largest)


def _limbs(plain: Tensor) -> tuple[Tensor, Tensor]:
    """Integers as `high * 2**32 + low`, both int64, `low` from 0 on: distances of all fit there."""
    if plain.dtype == torch.uint64:
        whole = plain.view(torch.int64)
        return (whole >> 32) & 0xFFFFFFFF, whole & 0xFFFFFFFF
    whole = (plain.view(torch.uint8) if plain.dtype == torch.bool else plain).long()
    return whole >> 32, whole & 0xFFFFFFFF


def _to_integers(whole: Tensor, values: Tensor) -> Tensor:
    """Distances of integers from floats: 0 only where they are equal, though float64 does not hold every
    integer."""
    high, low = _limbs(whole)
    near = (whole.double() - values).abs()
    far = ((high.double() * 2.0**32 - values) + low.double()).abs()
    return torch.where((high >= 1 << 20) | (high < -(1 << 20)), far, near)


def _max_ulp(plain_actual: Tensor, plain_expected: Tensor, actual: Numbers, expected: Numbers) -> int:
    if plain_actual.dtype == plain_expected.dtype:
        apart = steps(actual, expected)
    else:
        dtype = coarser(plain_actual.dtype, plain_expected.dtype)
        assert dtype is not None  # both integers: they have gone another way
        one = ordered_in(dtype, plain_actual, actual)
        other = ordered_in(dtype, plain_expected, expected)
        apart = (torch.maximum(one, other) - torch.minimum(one, other)) ^ INT64_MIN
    return int(apart.masked_fill_(actual.nan | expected.nan, INT64_MIN).max()) - INT64_MIN
