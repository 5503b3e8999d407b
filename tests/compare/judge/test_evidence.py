"""What speaks against one pair: every threshold at both of its sides, and the sentence for readers."""

import dataclasses
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.judge.evidence import object_to, object_to_exact, object_to_outside
from outgrow.compare.judge.rounding import floor_of, is_rounded, unit_roundoff
from tests.compare.judge.objections import BF16, FLOOR, HALF, HALF_FLOOR, evidence, objection, past
from tests.compare.judge.pairs import measures

# Rounding ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "roundoff", "floor"),
    [
        (torch.float64, 2.0**-53, 2.0**-51),
        (torch.float32, 2.0**-24, FLOOR),
        (torch.complex64, 2.0**-24, FLOOR),
        (torch.float16, 2.0**-11, 1.5 * 2.0**-11),
        (BF16, 2.0**-8, HALF_FLOOR),
        (torch.float8_e5m2, 2.0**-3, 1.5 * 2.0**-3),
        (torch.int8, 0.0, 0.0),
        (torch.bool, 0.0, 0.0),
    ],
    ids=str,
)
def test_the_floor_is_so_many_roundoffs_of_the_coarser_dtype(dtype, roundoff, floor):
    assert (unit_roundoff(dtype), is_rounded(dtype)) == (roundoff, roundoff > 0)
    assert floor_of(measures(1e-3, dtype=dtype)) == floor
    assert floor_of(measures(1e-3, dtype=dtype, actual_dtype=BF16)) == max(floor, HALF_FLOOR)
    assert floor_of(measures(1e-3, dtype=BF16, actual_dtype=dtype)) == max(floor, HALF_FLOOR)


# Jumps and drift ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figures", "before", "allowed"),
    [
        ({}, {}, 5 * FLOOR),
        ({}, {"error": 1e-5}, 5e-5),
        ({}, {"error": FLOOR / 2}, 5 * FLOOR),
        (HALF, {"error": 1e-5}, 5 * HALF_FLOOR),
        ({}, {"floor": HALF_FLOOR}, 5 * HALF_FLOOR),
        ({}, {"error": 1e-5, "growths": [9.0, 9.0]}, 5e-5),
        ({}, {"error": 1e-5, "growths": [0.1, 0.1, 0.1]}, 2.5e-5),
        ({}, {"error": 1e-5, "growths": [0.1, 1.5, 0.1]}, 3.75e-5),
        ({}, {"error": 1e-5, "growths": [3.0, 3.0, 3.0]}, 5e-5),
        ({}, {"error": 0.1}, 2 * math.cbrt(FLOOR)),
        (HALF, {"error": 0.1}, 2 * math.cbrt(HALF_FLOOR)),
        ({"dtype": torch.float8_e5m2}, {"error": 0.1}, 0.5),
        ({"dtype": torch.int8}, {"floor": HALF_FLOOR, "error": 1e-3}, 5e-3),
        ({"dtype": torch.int8}, {"error": 0.4}, 0.5),
        ({"dtype": torch.int8}, {"floor": HALF_FLOOR}, 0.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("error", [0.0, 1e-7])
def test_so_much_is_allowed_whatever_the_error_is(figures, before, allowed, error):
    assert object_to(measures(error, **figures), past(**before))[1] == pytest.approx(allowed, rel=1e-12)


@pytest.mark.parametrize(
    ("figures", "before"),
    [({}, {}), ({}, {"error": 1e-5}), (HALF, {"growths": [1.0, 1.0, 1.0]}), (HALF, {"error": 0.2})],
    ids=str,
)
def test_what_is_allowed_is_right_and_the_next_number_is_not(figures, before):
    _, allowed = object_to(measures(**figures), past(**before))
    assert evidence(measures(allowed, **figures), past(**before)) is None
    beyond = evidence(measures(math.nextafter(allowed, 1), **figures), past(**before))
    assert beyond == ("drift" if "error" in before and figures else "jump")


def test_drift_ends_where_a_jump_begins():
    """An error of 0.1 was right before; 0.36 is no rounding in bfloat16, and 0.5 is five times 0.1."""
    ceiling, before = 2 * math.cbrt(HALF_FLOOR), past(error=0.1)
    assert evidence(measures(ceiling, **HALF), before) is None
    text = "relative error 0.5, more than rounding leaves, however slowly it grew"
    assert objection(measures(0.5, **HALF), before) == ("drift", text)
    assert evidence(measures(math.nextafter(0.5, 1), **HALF), before) == "jump"
    # Less than five times what was before, and below the ceiling: the layers alone know better.
    known = past(error=0.05, growths=[1.0, 1.0, 1.0])
    assert evidence(measures(0.2, **HALF), known) == "jump"
    assert evidence(measures(ceiling, **HALF), past(error=0.07)) == "jump"
    assert evidence(measures(ceiling, **HALF), past(error=0.1, growths=[1.0, 1.0, 1.0])) == "jump"


def test_a_jump_says_how_large_it_is():
    assert objection(measures(0.25, **HALF), past(error=0.01)) == (
        "jump", "relative error 0.25, 25.0 times the largest before it",
    )  # fmt: skip
    assert objection(measures(0.01), past(error=FLOOR)) == (
        "jump", "relative error 0.01, 41,943.0 times what rounding leaves",
    )  # fmt: skip


# NaN, integers, codes ----------------------------------------------------------------------


def test_nan_is_told_by_how_many_there_are():
    assert objection(measures(1e-7, nan=1234, inf=5)) == (
        "born", "1,234 NaN and 5 infinities where 0 and 0 are expected",
    )  # fmt: skip
    moved = measures(1e-7, nan=2)
    moved = dataclasses.replace(moved, expected=moved.actual)
    assert objection(moved) == ("born", "NaN or infinities are in other places than expected")


CODES = {"dtype": torch.int8, "mismatched": 2500, "max_abs": 1, "digits": (None, None)}


@pytest.mark.parametrize(
    ("error", "changed", "is_right"),
    [
        (0.02, {}, True),
        (0.02, {"dtype": torch.uint8}, True),
        (0.02, {"actual_dtype": torch.uint8}, True),
        (0.02, {"mismatched": 2501}, False),
        (0.02, {"max_abs": 2}, False),
        (math.nextafter(0.02, 1), {}, False),
        (0.02, {"dtype": torch.int16, "actual_dtype": torch.int8}, False),
        (0.02, {"actual_dtype": torch.int16}, False),
        (0.02, {"dtype": torch.int64}, False),
    ],
    ids=str,
)
def test_codes_may_flip_by_one_in_a_quarter_of_all_places(error, changed, is_right):
    found = evidence(measures(error, **CODES | changed), past(error=0.004))
    assert found == (None if is_right else "exact")


def test_integers_are_told_by_how_many_differ():
    found = measures(0.1, dtype=torch.int64, mismatched=1500, max_abs=3, digits=(None, None))
    assert objection(found) == ("exact", "1,500 of 10,000 numbers that know no rounding differ")


# What a sample shows ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "error", "elements", "is_right"),
    [
        (3, 0.0, 64, False),
        (2, 0.0, 64, True),
        (3, 1 / 16, 64, False),
        (3, 0.0626, 64, True),
        (3, 0.0, 63, True),
    ],
)
def test_three_numbers_that_are_lost_are_seen_where_errors_are_small(lost, error, elements, is_right):
    found = measures(5e-3, lost=lost, elements=elements, **HALF)
    assert evidence(found, past(error=error)) == (None if is_right else "lost")
    wide = measures(5e-3, lost=1500, **HALF)
    assert objection(wide) == ("lost", "1,500 of 1,024 numbers looked at are 0 on one side alone")


@pytest.mark.parametrize(
    ("dtypes", "digits", "coarse"),
    [
        ((BF16, BF16), (8, 6), "actual"),
        ((BF16, BF16), (6, 8), "expected"),
        ((BF16, BF16), (8, 7), None),
        ((BF16, BF16), (7, 6), None),
        ((BF16, BF16), (7, 5), "actual"),
        ((torch.float16, torch.float16), (11, 9), "actual"),
        ((torch.float16, torch.float16), (11, 10), None),
        ((torch.float32, BF16), (24, 7), None),
        ((torch.float32, BF16), (24, 6), "actual"),
        ((BF16, torch.float32), (6, 24), "expected"),
        ((torch.float32, torch.float32), (22, 24), "expected"),
        ((torch.float32, torch.float32), (23, 24), None),
        ((torch.float32, torch.float32), (None, 2), None),
        ((torch.float32, torch.float32), (2, None), None),
    ],
    ids=str,
)
def test_two_bits_that_are_missing_on_one_side_are_seen(dtypes, digits, coarse):
    figures = {"dtype": dtypes[0], "actual_dtype": dtypes[1], "digits": digits}
    said, reason = objection(measures(5e-3, **figures), past(error=5e-3))
    assert said == ("coarse" if coarse else None)
    if coarse:
        due = {BF16: 8, torch.float16: 11, torch.float32: 24}
        assert reason == (
            f"all {coarse} numbers have {min(digits)} significant bits or fewer, of "
            f"{min(due[dtype] for dtype in dtypes)}; those on the other side have {max(digits)}"
        )
        assert evidence(measures(5e-3, elements=63, **figures), past(error=5e-3)) is None
        assert evidence(measures(5e-3, elements=64, **figures), past(error=5e-3)) == "coarse"


@pytest.mark.parametrize(
    ("digits", "before", "is_right"),
    [
        ((24, 8), {"actual": 2.0**-8, "expected": 2.0**-24}, True),
        ((24, 8), {"actual": 2.0**-8, "expected": 2.0**-8}, False),
        ((24, 8), {"actual": 2.0**-24, "expected": 2.0**-8}, False),
        ((24, 7), {"actual": 2.0**-8, "expected": 2.0**-24}, False),
        ((8, 24), {"expected": 2.0**-8, "actual": 2.0**-24}, True),
    ],
)
def test_what_ran_in_half_precision_may_go_on_in_float32(digits, before, is_right):
    assert evidence(measures(5e-3, digits=digits), past(error=5e-3, **before)) == (
        None if is_right else "coarse"
    )


# Every bit, and tolerances ----------------------------------------------------------------------


def test_who_wants_every_bit_is_told_how_many_are_wrong():
    told = object_to_exact(measures(0.1, max_abs=0.12345, mismatched=1234))
    assert (told.evidence, told.reason) == (
        "exact", "1,234 of 10,000 elements are not equal, the worst by 0.123",
    )  # fmt: skip
    told = object_to_exact(measures(dtype=BF16, actual_dtype=torch.float32))
    assert (told.evidence, told.reason) == ("exact", "torch.float32 instead of torch.bfloat16")
    assert object_to_exact(measures()) is None


def test_a_tolerance_is_told_as_it_was_given():
    told = object_to_outside(measures(0.1, max_abs=0.5, outside=2000), 1e-3, 0.25)
    assert (told.evidence, told.reason) == (
        "tolerance",
        "2,000 of 10,000 elements are beyond 0.25 + 0.001 * |expected|, the worst is off by 0.5",
    )
    assert object_to_outside(measures(0.1, outside=0), 0.0, 0.0) is None


# Properties ----------------------------------------------------------------------

ERRORS = st.floats(1e-9, 0.4)


@given(
    ERRORS,
    ERRORS,
    st.sampled_from([torch.float32, BF16, torch.float16]),
    st.lists(st.floats(0, 9), max_size=5),
)
def test_a_larger_error_is_never_better(one, other, dtype, growths):
    """And a larger error before it never makes it worse."""
    small, large = sorted((one, other))
    bits = {"dtype": dtype, "digits": (8, 8)}
    for error, before in ((small, small), (small, large)):
        seen = past(error=before, growths=growths)
        if evidence(measures(error, **bits), seen):
            assert evidence(measures(large, **bits), seen)
    allowed = [object_to(measures(0.0, **bits), past(error=e, growths=growths))[1] for e in (small, large)]
    assert all(one <= other for one, other in pairwise(allowed))
