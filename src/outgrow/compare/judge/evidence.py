"""What in the measures of one pair speaks against it, given what came before it."""

__all__ = ["JUMP", "Objection", "object_to", "object_to_exact", "object_to_outside"]

import math
from dataclasses import dataclass

from outgrow.compare.judge.judgement import Evidence
from outgrow.compare.judge.rounding import unit_roundoff
from outgrow.compare.measures import Measures

JUMP = 5.0
"""By which factor an error may grow from one tensor to a later one."""
FLOOR = 2.0
"""Errors below so many unit roundoffs are what two right implementations differ by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a pair is not right."""

    evidence: Evidence
    reason: str


def object_to(measures: Measures, *, right: float, roundoff: float) -> tuple[Objection | None, float]:
    """The first objection that holds, and the relative error up to which there is no jump.

    `right` is the largest relative error of a pair before this one that is right, `roundoff` the unit
    roundoff of the coarsest dtype up to here.
    """
    error = measures.finite_relative_error
    own = unit_roundoff(measures)
    floor = FLOOR * max(own, roundoff) if own else 0.0
    allowed = JUMP * max(right, floor)
    if measures.is_equal:
        return None, allowed
    if math.isinf(measures.max_abs):
        return Objection(evidence="born", reason=_tell_unlike(measures)), allowed
    if not own and not _is_code_flip(measures, allowed):
        return (
            Objection(
                evidence="exact",
                reason=f"{measures.mismatched:,} of {measures.elements:,} numbers that know no rounding differ",
            ),
            allowed,
        )
    if error > allowed:
        return Objection(evidence="jump", reason=_tell_jump(error, right, floor)), allowed
    return None, allowed


def object_to_exact(measures: Measures) -> Objection | None:
    """The objection of those who want every bit."""
    if measures.is_equal and measures.expected_dtype == measures.actual_dtype:
        return None
    if measures.is_equal:
        return Objection(
            evidence="exact", reason=f"{measures.actual_dtype} instead of {measures.expected_dtype}"
        )
    return Objection(
        evidence="exact",
        reason=f"{measures.mismatched:,} of {measures.elements:,} elements are not equal,"
        f" the worst by {measures.max_abs:.3g}",
    )


def object_to_outside(measures: Measures, rtol: float, atol: float) -> Objection | None:
    """The objection of a tolerance that was given."""
    if not measures.outside:
        return None
    return Objection(
        evidence="tolerance",
        reason=f"{measures.outside:,} of {measures.elements:,} elements are beyond"
        f" {atol:g} + {rtol:g} * |expected|, the worst is off by {measures.max_abs:.3g}",
    )


def _is_code_flip(measures: Measures, allowed: float) -> bool:
    """Whether integers differ as rounded activations do that were quantized to codes: by one, here and there."""
    return (
        is_rounded_before(allowed)
        and measures.max_abs <= 1
        and measures.mismatched * 4 <= measures.elements
        and measures.finite_relative_error <= allowed
        and measures.expected_dtype.itemsize == measures.actual_dtype.itemsize == 1
    )


def is_rounded_before(allowed: float) -> bool:
    """Whether anything before was rounded, so that codes may flip."""
    return allowed > 0


def _tell_unlike(measures: Measures) -> str:
    expected, actual = measures.expected, measures.actual
    return (
        f"{actual.nan:,} NaN and {actual.inf:,} infinities where {expected.nan:,} and {expected.inf:,}"
        " are expected" if (actual.nan, actual.inf) != (expected.nan, expected.inf)
        else "NaN or infinities are in other places than expected"
    )  # fmt: skip


def _tell_jump(error: float, right: float, floor: float) -> str:
    if right > floor:
        return f"relative error {error:.2g}, {error / right:,.0f} times what comes before it"
    if floor:
        return f"relative error {error:.2g}, {error / floor * FLOOR:,.0f} times the unit roundoff"
    return f"relative error {error:.2g} where nothing is rounded"
