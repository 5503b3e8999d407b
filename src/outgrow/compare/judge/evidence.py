"""What in the measures of one pair speaks against it, given what came before it."""

__all__ = [
    "JUMP",
    "LAYERS",
    "Objection",
    "Past",
    "bias_of",
    "object_to",
    "object_to_exact",
    "object_to_outside",
    "peak_error",
]

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from outgrow.compare.judge.judgement import Evidence
from outgrow.compare.judge.rounding import floor_of, unit_roundoff
from outgrow.compare.measures import Measures
from outgrow.quantities import format_factor

JUMP = 5.0
"""By which factor an error may grow from one tensor to a later one."""
FAR = 2.0
"""However slowly it grew, an error of so many times the cube root of the floor is no rounding: two thirds of
the digits are gone. 0.012 in float32, 0.36 in bfloat16."""
HALF = 0.5
"""Nor is one of this size in any dtype."""
ALIKE = 2.5
"""By which factor it may grow more than at the same stage of earlier layers."""
LAYERS = 3
"""How many earlier layers have to be known for that."""
APART = 2.0
"""By which factor a lone element may be worse than the worst before it."""
FIRST_DIGITS = 1 / 16
"""A lone element is wrong by this part of its size: smaller ones come from sums that nearly cancel."""
FEW = 1e-3
"""Lone elements are at most this part of all, and at least one."""
MANY_ENOUGH = 64
"""In tensors of fewer elements none is lone."""
AVERAGED = 0.5
"""What is left of the floor in figures in which rounding averages out."""
LOST = 3
"""Elements of the sample that have to be 0 on one side alone."""
CALM = 1 / 16
"""Beyond this relative error before, a number may well be 0 by chance."""
DIGITS = 2
"""Significant bits that have to be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a pair is not right."""

    evidence: Evidence
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What came before a pair and was right."""

    error: float
    """The largest relative error."""
    peak: float
    """The largest `peak_error`."""
    floor: float
    """The largest `floor_of`."""
    bias: float
    """The largest `bias_of`."""
    growths: Sequence[float]
    """By which factors the error grew at this stage in earlier layers; after the layers, at all stages."""
    roundoffs: Mapping[str, float]
    """By side, `expected` and `actual`: the unit roundoff of its coarsest dtype."""


def object_to(measures: Measures, past: Past) -> tuple[Objection | None, float]:
    """The first objection that holds, and the relative error up to which there is neither jump nor drift."""
    own = floor_of(measures)
    floor = max(own, past.floor) if own else 0.0
    before = max(past.error, floor)
    allowed = JUMP * before
    if len(past.growths) >= LAYERS:
        allowed = min(allowed, ALIKE * max(1.0, *past.growths) * before)
    allowed = min(allowed, _ceiling(floor))
    if measures.is_equal:
        return None, allowed
    return _object(measures, past, floor, allowed), allowed


def _object(measures: Measures, past: Past, floor: float, allowed: float) -> Objection | None:
    error = measures.finite_relative_error
    if math.isinf(measures.max_abs):
        return Objection(evidence="born", reason=_tell_unlike(measures))
    if not floor and not _is_code_flip(measures, allowed):
        text = f"{measures.mismatched:,} of {measures.elements:,} numbers that know no rounding differ"
        return Objection(evidence="exact", reason=text)
    if error > allowed:
        if _ceiling(floor) < error <= JUMP * max(past.error, floor):
            text = f"relative error {error:.2g}, more than rounding leaves, however slowly it grew"
            return Objection(evidence="drift", reason=text)
        return Objection(evidence="jump", reason=_tell_jump(error, past.error, floor))
    peak = peak_error(measures)
    lone = _lone_elements(measures)
    if lone and peak > max(APART * past.peak, APART * floor, FIRST_DIGITS):
        text = f"{lone:,} of {measures.elements:,} elements are far off, the worst by {measures.max_abs:.3g}"
        return Objection(evidence="isolated", reason=f"{text} instead of {measures.expected_at_max:.3g}")
    averaged = max(past.bias, AVERAGED * floor)
    if _is_one_number(measures):
        # Its rounding is the factor: nothing averages out. Language models have such activations.
        averaged = max(averaged, past.error, floor)
    # Errors across a vector of constant length shorten what is left along it: by half of their square.
    if bias_of(measures) > JUMP * averaged + error**2 / 2:
        return Objection(evidence="bias", reason=_tell_bias(measures))
    return _object_to_sample(measures, past)


def _ceiling(floor: float) -> float:
    return min(HALF, FAR * math.cbrt(floor)) if floor else HALF


def _object_to_sample(measures: Measures, past: Past) -> Objection | None:
    """Numbers that are coarser than their dtype on one side alone, or lost there."""
    seen = measures.sample
    if seen is None or seen.elements < MANY_ENOUGH:
        return None
    if seen.lost >= LOST and past.error <= CALM:
        text = f"{seen.lost:,} of {seen.elements:,} numbers looked at are 0 on one side alone"
        return Objection(evidence="lost", reason=text)
    expected, actual = seen.expected_digits, seen.actual_digits
    if expected is None or actual is None:
        return None
    digits = {"expected": expected, "actual": actual}
    dtypes = (measures.expected_dtype, measures.actual_dtype)
    due = min(round(1 - math.log2(2 * unit_roundoff(dtype))) for dtype in dtypes)
    coarse, fine = sorted(digits, key=digits.__getitem__)
    before, other = past.roundoffs[coarse], past.roundoffs[fine]
    if before > other and 2.0 ** -digits[coarse] <= before:
        # A run in half precision that ends, or keeps its cache, in float32.
        return None
    if digits[coarse] <= min(due, digits[fine]) - DIGITS:
        text = f"all {coarse} numbers have {digits[coarse]} significant bits or fewer, of {due}"
        return Objection(evidence="coarse", reason=f"{text}; those on the other side have {digits[fine]}")
    return None


def object_to_exact(measures: Measures) -> Objection | None:
    """The objection of those who want every bit."""
    if not measures.is_equal:
        text = f"{measures.mismatched:,} of {measures.elements:,} elements are not equal"
        return Objection(evidence="exact", reason=f"{text}, the worst by {measures.max_abs:.3g}")
    if measures.expected_dtype != measures.actual_dtype:
        text = f"{measures.actual_dtype} instead of {measures.expected_dtype}"
        return Objection(evidence="exact", reason=text)
    return None


def object_to_outside(measures: Measures, rtol: float, atol: float) -> Objection | None:
    """The objection of a tolerance that was given; it is in `Measures.outside` already."""
    if not measures.outside:
        return None
    text = (
        f"{measures.outside:,} of {measures.elements:,} elements are beyond {atol:g} + {rtol:g} * |expected|"
    )
    return Objection(evidence="tolerance", reason=f"{text}, the worst is off by {measures.max_abs:.3g}")


def peak_error(measures: Measures) -> float:
    """The largest distance, relative to how large numbers are there: large ones are rounded by more."""
    size = measures.size_at_max
    if size is None or not size > 0 or math.isinf(measures.max_abs):
        return 0.0
    return measures.max_abs / size


def bias_of(measures: Measures) -> float:
    """How far the factor between both sides is from 1, or their means from each other, whatever is more: one
    part of the relative error, in which the errors of single numbers average out. 0.0 for few numbers."""
    if measures.elements < MANY_ENOUGH or measures.scale is None:
        return 0.0
    return max(abs(measures.scale - 1), abs(_shift(measures)))


def _is_one_number(measures: Measures) -> bool:
    """Whether one element is more than half of the sum of all squares."""
    side = measures.expected
    if side.mean is None or side.std is None or side.minimum is None or side.maximum is None:
        return False
    squares = measures.elements * (side.mean**2 + side.std**2)
    return 2 * max(side.minimum**2, side.maximum**2) > squares


def _shift(measures: Measures) -> float:
    """Of the mean, relative to the root mean square of what is expected."""
    expected, actual = measures.expected, measures.actual
    if expected.mean is None or expected.std is None or actual.mean is None:
        return 0.0
    size = math.hypot(expected.mean, expected.std)
    return (actual.mean - expected.mean) / size if size > 0 else 0.0


def _lone_elements(measures: Measures) -> int:
    """How many elements are more than twice as far off as all others; 0 where that is no small part."""
    limit = max(1, int(measures.elements * FEW))
    if measures.elements < MANY_ENOUGH:
        return 0
    if measures.mismatched <= limit:
        return measures.mismatched
    far = 0
    octaves = sorted(measures.distance_exponents, reverse=True)
    for octave, below in pairwise(octaves):
        far += measures.distance_exponents[octave]
        if far > limit:
            return 0
        if octave - below > 1:
            return far
    return 0


def _is_code_flip(measures: Measures, allowed: float) -> bool:
    """Whether integers differ as activations do that were rounded to codes: by one, here and there."""
    return (
        measures.max_abs <= 1
        and measures.mismatched * 4 <= measures.elements
        and measures.finite_relative_error <= allowed
        and measures.expected_dtype.itemsize == measures.actual_dtype.itemsize == 1
    )


def _tell_unlike(measures: Measures) -> str:
    expected, actual = measures.expected, measures.actual
    if (actual.nan, actual.inf) == (expected.nan, expected.inf):
        return "NaN or infinities are in other places than expected"
    found = f"{actual.nan:,} NaN and {actual.inf:,} infinities"
    return f"{found} where {expected.nan:,} and {expected.inf:,} are expected"


def _tell_bias(measures: Measures) -> str:
    shift, scale = _shift(measures), measures.scale or 0.0
    if abs(scale - 1) >= abs(shift):
        return f"all numbers are {format_factor(scale)} times what is expected, where rounding averages out"
    return f"all numbers are moved by {shift:.2g} of their size, where rounding averages out"


def _tell_jump(error: float, before: float, floor: float) -> str:
    if before > floor:
        return f"relative error {error:.2g}, {error / before:,.1f} times the largest before it"
    return f"relative error {error:.2g}, {error / floor:,.1f} times what rounding leaves"
