"""The figures of a pair by exact arithmetic, one element after the other: slow and obvious."""

import bisect
import functools
import math
from fractions import Fraction

import numpy as np
import torch

FINITE_TABLES = (
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2,
    torch.float8_e5m2fnuz,
)
MANTISSA = {torch.float64: 52, torch.float32: 23, torch.float16: 10, torch.bfloat16: 7}
MANTISSA |= {torch.float8_e4m3fn: 3, torch.float8_e4m3fnuz: 3, torch.float8_e5m2: 2, torch.float8_e5m2fnuz: 2}
REAL = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}


def elements(tensor):
    """Every element as a tuple of Python numbers: one, or the two parts of a complex one."""
    flat = tensor.detach().reshape(-1).resolve_conj().resolve_neg()
    if flat.is_complex():
        parts = torch.view_as_real(flat).double()
        return [tuple(row) for row in parts.tolist()]
    if flat.dtype.is_floating_point:
        return [(value,) for value in flat.double().tolist()]
    return [(int(value),) for value in flat.numpy().tolist()]


def distance(one, other):
    if math.isnan(one) or math.isnan(other):
        return 0 if math.isnan(one) and math.isnan(other) else math.inf
    if one == other:
        return 0
    if math.isinf(one) or math.isinf(other):
        return math.inf
    return abs(Fraction(one) - Fraction(other))


def root(number: Fraction) -> Fraction:
    """To 1000 bits or so."""
    if not number:
        return Fraction(0)
    shift = max(0, 2200 - number.numerator.bit_length() + number.denominator.bit_length()) // 2 * 2
    return Fraction(math.isqrt((number.numerator << shift) // number.denominator)) / 2 ** (shift // 2)


def modulus(parts):
    return (
        math.inf
        if math.inf in parts
        else abs(parts[0])
        if len(parts) == 1
        else root(sum(p * p for p in parts))
    )


def as_float(number) -> float:
    """To the nearest float64."""
    if isinstance(number, float):
        return number
    try:
        return float(number)
    except OverflowError:
        return -math.inf if number < 0 else math.inf


def side(rows):
    finite = [Fraction(part) for row in rows for part in row if math.isfinite(part)]
    nan = [index for index, row in enumerate(rows) if any(map(math.isnan, row))]
    mean = sum(finite) / len(finite) if finite else None
    return {
        "finite": finite,
        "mean": mean,
        "std": root(sum((value - mean) ** 2 for value in finite) / len(finite)) if finite else None,
        "minimum": min(finite, default=None),
        "maximum": max(finite, default=None),
        "nan": len(nan),
        "inf": sum(any(map(math.isinf, row)) for row in rows),
        "first_nan": nan[0] if nan else None,
    }


def figures(actual, expected, rtol=0.0, atol=0.0):
    """Everything about a pair; sums as `Fraction`, places counted in row-major order."""
    one, other = elements(actual), elements(expected)
    if one and len(one[0]) != len(other[0]):
        one, other = ([row if len(row) == 2 else (*row, 0) for row in rows] for rows in (one, other))
    apart = [tuple(map(distance, a, e)) for a, e in zip(one, other, strict=True)]
    moduli = [modulus(parts) for parts in apart]
    both = [
        (Fraction(a), Fraction(e), d)
        for left, right, parts in zip(one, other, apart, strict=True)
        for a, e, d in zip(left, right, parts, strict=True)
        if math.isfinite(a) and math.isfinite(e)
    ]
    largest = max(moduli, default=0)
    outside = 0
    for size, row in zip(moduli, other, strict=True):
        # The tolerance is a number of float64: what it allows is rounded as it is.
        finite = all(map(math.isfinite, row))
        allowed = rtol * as_float(modulus(list(map(Fraction, row)))) + atol if finite else 0
        outside += bool(size) and (as_float(size) == math.inf or as_float(size) > allowed)
    exponents: dict[int, int] = {}
    for parts in apart:
        for part in parts:
            if part and part != math.inf and math.isfinite(as_float(part)):
                exponent = math.frexp(as_float(part))[1] - 1
                exponents[exponent] = exponents.get(exponent, 0) + 1
    return {
        "elements": len(one),
        "mismatched": sum(map(bool, moduli)),
        "outside": outside,
        "moduli": moduli,
        "max_abs": largest,
        "squares": sum(d * d for _, _, d in both),
        "actual_squares": sum(a * a for a, _, _ in both),
        "expected_squares": sum(e * e for _, e, _ in both),
        "products": sum(a * e for a, e, _ in both),
        "count": Fraction(len(both), len(one[0]) if one else 1),
        "exponents": exponents,
        "nan_apart": any(
            math.isnan(a) != math.isnan(e)
            for left, right in zip(one, other, strict=True)
            for a, e in zip(left, right, strict=True)
        ),
        "steps": steps(actual.dtype, expected.dtype, one, other),
        "actual": side(one),
        "expected": side(other),
    }


def counted_in(actual, expected):
    """The dtype in which steps are counted; None between integers."""
    one, other = (REAL.get(dtype, dtype) for dtype in (actual, expected))
    if one == other:
        return one if one.is_floating_point else None
    both = [torch.float32 if d == torch.float8_e8m0fnu else d for d in (other, one)]
    return min((d for d in both if d in MANTISSA), key=MANTISSA.get, default=None)


def steps(actual, expected, one, other) -> int:
    """The largest number of steps, NaN aside."""
    dtype = counted_in(actual, expected)
    found = 0
    for left, right in zip(one, other, strict=True):
        for a, e in zip(left, right, strict=True):
            if not math.isnan(a) and not math.isnan(e):
                apart = abs(a - e) if dtype is None else abs(place(a, dtype) - place(e, dtype))
                found = max(found, int(apart))
    return found


@functools.cache
def table(dtype):
    """All finite numbers of a dtype from 0 up, in order."""
    ints = {1: torch.uint8, 2: torch.int16}[dtype.itemsize]
    codes = torch.arange(2 ** (8 * dtype.itemsize - (dtype != torch.float8_e8m0fnu))).to(ints).view(dtype)
    values = codes.double()
    return [Fraction(value) for value in values[values.isfinite()].tolist()]


def place(number, dtype) -> int:
    """Which number of the dtype is nearest, counted from 0 on; ties go to even places."""
    sign = -1 if number < 0 else 1
    if math.isinf(number):
        return sign * (int(np.array(np.inf, f"f{dtype.itemsize}").view(f"i{dtype.itemsize}"))
                       if dtype in (torch.float32, torch.float64) else len(table(dtype)))  # fmt: skip
    exact = abs(Fraction(number))
    if dtype in (torch.float32, torch.float64):
        kind = {torch.float32: np.float32, torch.float64: np.float64}[dtype]
        with np.errstate(over="ignore"):
            near = kind(min(float(exact), 3.5e38 if dtype == torch.float32 else float(exact)))
            around = [np.nextafter(near, kind(0)), near, np.nextafter(near, kind(np.inf))]
        top = Fraction(float(np.finfo(kind).max))
        ulp = top - Fraction(float(np.nextafter(np.finfo(kind).max, kind(0))))
        exacts = [top + ulp if np.isinf(value) else Fraction(float(value)) for value in around]
        places = [int(value.view(f"i{dtype.itemsize}")) for value in around]
        return sign * min(zip(exacts, places, strict=True), key=lambda c: (abs(c[0] - exact), c[1] & 1))[1]
    values = table(dtype)
    above = bisect.bisect_left(values, exact)
    if above == len(values):
        step = values[-1] - values[-2]
        over = exact - values[-1]
        is_up = over > step / 2 or (over == step / 2 and (len(values) - 1) & 1)
        return sign * (len(values) if is_up else len(values) - 1)
    if values[above] == exact or not above:
        return sign * above
    down, up = exact - values[above - 1], values[above] - exact
    return sign * (above - 1 if down < up or (down == up and (above - 1) % 2 == 0) else above)
