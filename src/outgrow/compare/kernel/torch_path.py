"""The sums over a chunk by torch alone: any dtypes, and the yardstick of the compiled kernel."""

__all__ = ["torch_tally"]

import math

import torch
from torch import Tensor

from outgrow.compare.kernel.apart import Apart
from outgrow.compare.kernel.tally import SideTally, Tally
from outgrow.difference.numbers import E8M0, Numbers, bits, plain

# Squares of numbers between 2 ** -400 and 2 ** 400 and sums of them stay within float64.
_SAFE_EXPONENT = 400
_FIELDS, _BIAS, _LEAST_EXPONENT = 2048, 1023, -1074
# Sums of so many come first, each by one thread: torch splits a sum of all by the threads that it has.
_RUN = 4096


def torch_tally(actual: Tensor, expected: Tensor, *, start: int, rtol: float, atol: float) -> Tally:
    """Sums over two flat tensors `[elements]` of any dtypes, the first element of which is number `start`.

    Takes memory of about 100 times the elements, so that callers hand it chunks.
    """
    if actual.dtype != expected.dtype:
        # Powers of two alone, without a sign: rounding and zeros need a dtype that has them.
        actual, expected = (side.float() if side.dtype == E8M0 else side for side in (actual, expected))
    plain_actual, plain_expected = _same_parts(plain(actual), plain(expected))
    numbers = Numbers.of(plain_expected)
    is_identical = plain_actual.dtype == plain_expected.dtype and torch.equal(
        bits(plain_actual), bits(plain_expected)
    )
    others = numbers if is_identical else Numbers.of(plain_actual)
    tally = Tally(elements=numbers.values.shape[0])
    tally.expected = _side(numbers, start)
    tally.actual = tally.expected if is_identical else _side(others, start)
    _add_products(tally, others, numbers)
    if not is_identical:
        apart = Apart.between(plain_actual, plain_expected, others, numbers)
        _add_distances(tally, apart, others, numbers, start=start, rtol=rtol, atol=atol)
    return tally


def _same_parts(actual: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """A real number beside complex ones gets an imaginary part of 0."""
    if actual.shape[1] == expected.shape[1]:
        return actual, expected
    actual, expected = (
        side if side.shape[1] == 2 else torch.cat([side, torch.zeros_like(side)], dim=1)
        for side in (actual, expected)
    )
    return actual, expected


def _side(numbers: Numbers, start: int) -> SideTally:
    values = numbers.values
    if not numbers.is_integer:
        off = numbers.nan | numbers.inf
        if bool(off.any()):
            nan, inf = numbers.nan.any(dim=1), numbers.inf.any(dim=1)
            side = _finite_side(values[~off])
            side.nan, side.inf = int(nan.sum()), int(inf.sum())
            side.first_nan = start + int(nan.byte().argmax()) if side.nan else None
            return side
    return _finite_side(values)


def _finite_side(values: Tensor) -> SideTally:
    count = values.numel()
    if not count:
        return SideTally()
    least, most = (float(found) for found in torch.aminmax(values))
    power = _power(max(-least, most))
    scaled = _scale(values, power)
    mean = _sum(scaled) / count
    deviations = scaled - mean
    # The mean is rounded: what is left of the deviations' own mean is taken out again.
    squares = _sum(deviations.square()) - _sum(deviations) ** 2 / count
    return SideTally(
        finite=count, mean=mean, squares=max(0.0, squares), power=power, minimum=least, maximum=most
    )


def _sum(values: Tensor) -> float:
    flat = values.reshape(-1)
    whole = flat.numel() // _RUN * _RUN
    return float(flat[:whole].view(-1, _RUN).sum(dim=1).sum() + flat[whole:].sum())


def _power(largest: float) -> int:
    if not largest:
        return 0
    _, exponent = math.frexp(largest)
    return exponent if abs(exponent) > _SAFE_EXPONENT else 0


def _scale(values: Tensor, power: int) -> Tensor:
    """`values * 2 ** -power`, in two steps: the factor itself could leave float64."""
    if not power:
        return values
    half = -power // 2
    return values * 2.0**half * 2.0 ** (-power - half)


def _add_products(tally: Tally, actual: Numbers, expected: Numbers) -> None:
    """Sums over the numbers that are finite on both sides."""
    one, other = actual.values, expected.values
    if tally.actual.finite < one.numel() or tally.expected.finite < other.numel():
        both = one.isfinite() & other.isfinite()
        one, other = one[both], other[both]
    tally.finite = one.numel()
    if not tally.finite:
        return
    tally.actual_power, tally.expected_power = (
        _power(float(one.abs().max())),
        _power(float(other.abs().max())),
    )
    one, other = _scale(one, tally.actual_power), _scale(other, tally.expected_power)
    tally.actual_squares = _sum(one.square())
    if actual is expected:
        tally.products = tally.expected_squares = tally.actual_squares
    else:
        tally.expected_squares = _sum(other.square())
        tally.products = _sum(one * other)


def _add_distances(
    tally: Tally, apart: Apart, actual: Numbers, expected: Numbers, *, start: int, rtol: float, atol: float
) -> None:
    unequal = apart.moduli != 0
    tally.mismatched = int(unequal.sum())
    tally.nan_apart = bool((actual.nan != expected.nan).any())
    tally.max_ulp = apart.max_ulp
    if apart.largest:
        tally.max_abs, tally.max_abs_at = apart.largest, start + apart.at
    tally.outside = tally.mismatched
    if rtol or atol:
        sizes = expected.values
        size = sizes[:, 0].abs() if sizes.shape[1] == 1 else sizes[:, 0].hypot(sizes[:, 1])
        allowed = size.mul_(rtol).add_(atol) if rtol else torch.full_like(size, atol)
        # An infinite distance is never allowed, not even by the tolerance of an infinite number.
        tally.outside = int((unequal & (~(apart.moduli <= allowed) | apart.moduli.isinf())).sum())
    tally.exponents = _exponents(apart.distances)
    _add_squares(tally, apart, actual, expected)


def _exponents(distances: Tensor) -> dict[int, int]:
    fields = (distances.view(torch.int64) >> 52).reshape(-1)
    counts = torch.bincount(fields, minlength=_FIELDS).tolist()
    found = {field - _BIAS: count for field, count in enumerate(counts[1 : _FIELDS - 1], 1) if count}
    if counts[0]:
        # 0, which does not count, and subnormal numbers, each with an exponent of its own.
        small = distances.reshape(-1)[fields == 0]
        places = torch.bincount(1 - _LEAST_EXPONENT + torch.frexp(small[small != 0]).exponent.long()).tolist()
        found |= {place + _LEAST_EXPONENT - 2: count for place, count in enumerate(places) if count}
    return dict(sorted(found.items()))


def _add_squares(tally: Tally, apart: Apart, actual: Numbers, expected: Numbers) -> None:
    one, other, distances = actual.values, expected.values, apart.distances
    if tally.finite < one.numel():
        both = one.isfinite() & other.isfinite()
        one, other, distances = one[both], other[both], distances[both]
    if not distances.numel():
        return
    largest = float(distances.max())
    if math.isinf(largest):
        # Two finite numbers so far apart that float64 cannot say how far: the distance of their 1/4 can.
        quarters = _scale(one, 2) - _scale(other, 2)
        tally.power = _power(float(quarters.abs().max()))
        scaled = _scale(quarters, tally.power)
        tally.power += 2
    else:
        tally.power = _power(largest)
        scaled = _scale(distances, tally.power)
    tally.squares = _sum(scaled.square())
