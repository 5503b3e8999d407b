"""One factor between all numbers."""

__all__ = ["diagnose", "factor_between", "name_factor"]

import math
from collections.abc import Iterable, Iterator

from torch import Tensor

from outgrow.compare.diagnosis.context import Context, explains
from outgrow.compare.diagnosis.diagnosis import Diagnosis
from outgrow.compare.diagnosis.fit import fit_factors
from outgrow.quantities import format_factor

FEW = 16
"""Between fewer numbers any factor could be found by chance: it has to have a name."""
FINER = 1.5
PRECISE = 1e-5
"""A factor whose square is a whole number so precisely is a root by no chance."""
MOST = 1024
USUAL_SIZES = (32, 48, 64, 80, 96, 128, 192, 256)
"""Sizes of a head that models have; they may not show in the shape of a tensor."""


def diagnose(context: Context) -> Diagnosis | None:
    """`actual = factor * expected`, as after a missing or doubled `1/sqrt(head_dim)`."""
    expected, actual = context.expected_window, context.actual_window
    factor = factor_between(actual, expected)
    if factor is None:
        return None
    left = float((actual - factor * expected).norm() / expected.norm())
    if abs(factor - 1) <= 3 * left or not explains(left, context.error, context.allowed * abs(factor)):
        return None
    if _is_finer(context, left):
        return None
    ranks = len(context.finding.pair.actual)
    known = [*context.expected.shape, ranks] if ranks > 1 else [*context.expected.shape]
    name = name_factor(factor, tolerance=3 * left / abs(factor) if factor else 0.0, sizes=known)
    if expected.numel() < FEW and name is None:
        return None
    said = (
        f"all numbers are {format_factor(factor)} times what is expected" if factor else "all numbers are 0"
    )
    detail = f"{said}{f' ({name})' if name else ''}; that leaves a relative error of {left:.2g}"
    return Diagnosis(at=context.finding.pair.expected_name, kind="constant_factor", detail=detail)


def _is_finer(context: Context, left: float) -> bool:
    """Whether a factor for each channel or row leaves clearly less: then it is no single one."""
    fits = (fit_factors(context, dim) for dim in (0, 1))
    return any(fit is not None and fit.left < left / FINER for fit in fits)


def factor_between(actual: Tensor, expected: Tensor) -> float | None:
    """The factor of least squares; None where `expected` is zero."""
    square = float((expected * expected).sum())
    return float((actual * expected).sum()) / square if square > 0 else None


def name_factor(factor: float, *, tolerance: float, sizes: Iterable[int]) -> str | None:
    """What such a factor usually is: `1/sqrt(64)`; None for one without a name."""
    for name, value in _names(sizes):
        if math.isclose(factor, value, rel_tol=max(tolerance, 1e-6)):
            return name
    if tolerance > PRECISE:
        return None
    for name, square in (("sqrt", factor**2), ("1/sqrt", 1 / factor**2 if factor else 0.0)):
        if 2 <= round(square) <= MOST and math.isclose(square, round(square), rel_tol=PRECISE):
            return f"{name}({round(square)})"
    return None


def _names(sizes: Iterable[int]) -> Iterator[tuple[str, float]]:
    yield "the sign", -1.0
    own = [size for size in dict.fromkeys(sizes) if size > 1]
    for size in [*own, *USUAL_SIZES]:
        yield f"1/sqrt({size})", size**-0.5
        yield f"sqrt({size})", size**0.5
    for size in dict.fromkeys([2, 3, 4, 8, 16, *own]):
        yield f"{size}", float(size)
        yield f"1/{size}", 1 / size
