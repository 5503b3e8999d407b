"""Elements that stand apart, and numbers that are off in one direction: both sides of every threshold."""

import dataclasses
import math

import pytest

from outgrow.compare.judge.evidence import bias_of, peak_error
from tests.compare.judge.objections import FLOOR, HALF, HALF_FLOOR, evidence, objection, past
from tests.compare.judge.pairs import measures

# Lone elements ----------------------------------------------------------------------


def lone(exponents, *, peak=0.2, elements=10_000, mismatched=None, **more):
    return measures(
        5e-3, elements=elements, exponents=exponents, peak=peak, mismatched=mismatched, **HALF, **more
    )


@pytest.mark.parametrize(
    ("figures", "count"),
    [
        ({"exponents": {0: 10, -2: 1000}}, 10),
        ({"exponents": {0: 11, -2: 1000}}, 0),
        ({"exponents": {0: 4, -1: 6, -3: 5000}}, 10),
        ({"exponents": {-3: 5000, -1: 6, 0: 4}}, 10),
        ({"exponents": {0: 4, -1: 7, -3: 5000}}, 0),
        ({"exponents": {0: 1, -1: 1, -2: 8, -3: 5000}}, 0),
        ({"exponents": {0: 1, -1: 3}}, 0),
        ({"exponents": {0: 1}}, 0),
        ({"exponents": {0: 10}, "mismatched": 10}, 10),
        ({"exponents": {0: 11}, "mismatched": 11}, 0),
        ({"exponents": {0: 1, -2: 9}, "elements": 64}, 1),
        ({"exponents": {0: 2, -2: 9}, "elements": 64}, 0),
        ({"exponents": {0: 1}, "elements": 64, "mismatched": 1}, 1),
        ({"exponents": {0: 2}, "elements": 64, "mismatched": 2}, 0),
        ({"exponents": {0: 1, -2: 9}, "elements": 63}, 0),
        ({"exponents": {0: 1}, "elements": 63, "mismatched": 1}, 0),
        ({"exponents": {0: 2, -2: 9}, "elements": 2999}, 2),
    ],
    ids=str,
)
def test_lone_elements_are_few_and_stand_apart(figures, count):
    said, reason = objection(lone(**figures))
    assert said == ("isolated" if count else None)
    if count:
        elements = f"{figures.get('elements', 10_000):,}"
        assert reason == f"{count} of {elements} elements are far off, the worst by 0.2 instead of 0"


@pytest.mark.parametrize(
    ("before", "least"),
    [({}, 1 / 16), ({"peak": 0.1}, 0.2), ({"peak": 0.01}, 1 / 16), ({"floor": 0.1}, 0.2)],
    ids=str,
)
def test_a_lone_element_is_worse_than_twice_the_worst_before_it(before, least):
    one = {0: 1, -2: 1000}
    assert evidence(lone(one, peak=least), past(**before)) is None
    assert evidence(lone(one, peak=math.nextafter(least, 1)), past(**before)) == "isolated"


def test_the_largest_distance_is_relative_to_the_numbers_around_it():
    found = measures(0.01, peak=0.3)
    assert peak_error(dataclasses.replace(found, size_at_max=0.5)) == 0.6
    for size in (None, 0.0, math.nan):
        assert peak_error(dataclasses.replace(found, size_at_max=size)) == 0.0
    assert peak_error(measures(0.01, nan=1)) == 0.0
    assert peak_error(measures()) == 0.0


# Bias ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "before", "least"),
    [
        (0.08, {}, 2.5 * HALF_FLOOR + 0.0032),
        (0.3, {}, 2.5 * HALF_FLOOR + 0.045),
        (0.08, {"bias": 0.01}, 0.05 + 0.0032),
        (0.08, {"bias": 0.002}, 2.5 * HALF_FLOOR + 0.0032),
        (0.08, {"floor": 0.01}, 0.025 + 0.0032),
    ],
)
@pytest.mark.parametrize("figure", ["scale", "shift", "less", "down"])
def test_bias_grows_fivefold_at_most(error, before, least, figure):
    def biased(by):
        return {"scale": {"scale": 1 + by}, "less": {"scale": 1 - by}, "shift": {"shift": by},
                "down": {"shift": -by}}[figure]  # fmt: skip

    seen = past(error=0.1, **before)
    assert evidence(measures(error, **HALF, **biased(0.999 * least)), seen) is None
    assert evidence(measures(error, **HALF, **biased(1.001 * least)), seen) == "bias"
    assert evidence(measures(error, elements=64, **HALF, **biased(1.001 * least)), seen) == "bias"
    assert evidence(measures(error, elements=63, **HALF, **biased(0.3)), seen) is None


@pytest.mark.parametrize("end", ["minimum", "maximum"])
def test_a_lone_huge_number_is_rounded_as_any_other(end):
    # SmolLM2 has one activation of 10,000 among tenths: its last bit is the factor of least squares.
    found = measures(1.15e-6, scale=1 - 1.15e-6)
    seen = past(error=6e-7, floor=FLOOR)
    assert evidence(found, seen) == "bias"

    def with_largest(share):
        side = dataclasses.replace(found.expected, **{end: (share * found.elements) ** 0.5})
        return dataclasses.replace(found, expected=side)

    assert evidence(with_largest(0.51), seen) is None
    assert evidence(with_largest(0.49), seen) == "bias"
    unknown = dataclasses.replace(with_largest(0.51).expected, minimum=None)
    assert evidence(dataclasses.replace(found, expected=unknown), seen) == "bias"


@pytest.mark.parametrize(
    ("mean", "std", "largest", "is_one"),
    [(0.0, 0.5, 4.0, False), (0.0, 0.5, 4.01, True), (0.25, 0.5, 4.4, False), (0.25, 0.5, 4.5, True)],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_one_number_of_more_than_half_of_the_squares_averages_nothing(mean, std, largest, is_one, sign):
    """Of 128: twice its square is more than 128 times the mean square."""
    ends = {"minimum": -1.0, "maximum": largest} if sign > 0 else {"minimum": -largest, "maximum": 1.0}

    def biased(before, **changed):
        found = measures(0.08, elements=128, scale=1.2, **HALF)
        side = dataclasses.replace(found.expected, **{"mean": mean, "std": std, **ends, **changed})
        actual = dataclasses.replace(found.actual, mean=mean)
        return evidence(dataclasses.replace(found, expected=side, actual=actual), before)

    assert biased(past(error=0.05)) == (None if is_one else "bias")
    assert biased(past(error=0.02)) == "bias"
    assert biased(past(error=0.02, floor=0.05)) == (None if is_one else "bias")
    assert biased(past(error=0.02, bias=0.05)) is None
    assert biased(past(error=0.05), mean=None) == biased(past(error=0.05), std=None) == "bias"


def test_bias_of_just_so_much_is_right():
    least = 2.5 * HALF_FLOOR + 2.0**-9
    assert 1 + least - 1 == least
    assert evidence(measures(2.0**-4, **HALF, scale=1 + least), past(error=0.1)) is None


def test_bias_is_the_larger_of_factor_and_shift():
    assert bias_of(measures(0.1, scale=0.75, shift=0.125)) == 0.25
    assert bias_of(measures(0.1, scale=1.125, shift=-0.25)) == 0.25
    assert bias_of(measures(0.1, scale=None, shift=0.25)) == 0.0
    apart = measures(0.1, shift=1.0)
    apart = dataclasses.replace(apart, expected=dataclasses.replace(apart.expected, mean=3.0, std=4.0))
    assert bias_of(apart) == 0.4
    for side, nothing in (("expected", "mean"), ("expected", "std"), ("actual", "mean")):
        unknown = dataclasses.replace(getattr(apart, side), **{nothing: None})
        assert bias_of(dataclasses.replace(apart, **{side: unknown})) == 0.0
    flat = dataclasses.replace(apart.expected, mean=0.0, std=0.0)
    assert bias_of(dataclasses.replace(apart, expected=flat)) == 0.0


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"scale": 0.75, "shift": 0.125}, "all numbers are 0.75 times what is expected"),
        ({"scale": 1.25, "shift": 0.25}, "all numbers are 1.25 times what is expected"),
        ({"scale": 1.125, "shift": -0.25}, "all numbers are moved by -0.25 of their size"),
    ],
)
def test_bias_is_told_as_the_larger_of_both(figures, said):
    told = objection(measures(0.1, **HALF, **figures), past(error=0.1))
    assert told == ("bias", f"{said}, where rounding averages out")
