"""Whether two lists of numbers are the same ones: scale, agreement and the paired test, each by itself."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.layout.evidence import Scale, agreement, closer, sigmas

NUMBERS = st.lists(st.integers(-1000, 1000).map(float), min_size=2, max_size=40).map(np.array)


@pytest.mark.parametrize(
    ("values", "centre", "spread"),
    [
        ([], 0.0, 1.0),
        ([math.nan, math.inf], 0.0, 1.0),
        ([5.0, 5.0, 5.0], 5.0, 1.0),
        ([1.0, 2.0, 9.0, math.nan], 2.0, 1.75),
        ([3.0, 4.0, 5.0, 6.0, 7.0], 5.0, 1.0),
        ([0.0, 0.0, 0.0, 0.0, 8.0], 0.0, 2.0),
        # One of 41 is beyond the 95 %: what is left is the mean distance.
        ([3.0] * 40 + [44.0], 3.0, 1.0),
        ([2.0] * 19 + [-38.0], 2.0, 10.0),
        ([2.0] * 20 + [-40.0], 2.0, 2.0),
        ([1e308, -1e308, 1e308, -1e308, -1e308], -1e308, 1.0),
        ([-3.0, -4.0, -5.0, -6.0, -7.0], -5.0, 1.0),
    ],
    ids=str,
)
def test_centre_and_spread_are_robust(values, centre, spread):
    scale = Scale.of(np.array(values))
    assert (scale.centre, scale.spread) == (centre, spread)


@given(NUMBERS, st.randoms())
def test_no_order_changes_the_scale(values, random):
    moved = values.copy()
    random.shuffle(moved)
    assert Scale.of(moved) == Scale.of(values)


@given(NUMBERS, st.integers(-500, 500), st.sampled_from([0.25, 2.0, 64.0]))
def test_a_factor_and_an_offset_are_scaled_away(values, offset, factor):
    plain = Scale.of(values).apply(values)
    moved = values * factor + offset
    assert np.allclose(Scale.of(moved).apply(moved), plain) or Scale.of(values).spread == 1.0


def test_numbers_are_clipped_and_nan_says_nothing():
    scale = Scale(centre=10.0, spread=2.0)
    values = np.array([10.0, 14.0, 22.0, 22.5, -99.0, math.inf, -math.inf, math.nan])
    assert scale.apply(values).tolist() == [0.0, 2.0, 6.0, 6.0, -6.0, 6.0, -6.0, 0.0]
    assert values[0] == 10.0
    assert Scale(centre=-1e308, spread=1.0).apply(np.array([1e308, 1e308 * 10])).tolist() == [6.0, 6.0]
    assert Scale(centre=math.inf, spread=1.0).apply(np.array([math.inf])).tolist() == [0.0]


@given(NUMBERS, NUMBERS)
def test_agreement_is_the_correlation(one, other):
    size = min(len(one), len(other))
    one, other = one[:size], other[:size]
    if np.ptp(one) and np.ptp(other):
        assert agreement(one, other) == pytest.approx(np.corrcoef(one, other)[0, 1])
    else:
        assert agreement(one, other) == pytest.approx(0.0, abs=1e-9)


def test_agreement_of_small_numbers_and_of_none():
    small = np.array([0.25, 0.5, 0.125])
    assert agreement(small, small) == pytest.approx(1.0)
    assert agreement(small, -small) == pytest.approx(-1.0)
    assert agreement(small, np.zeros(3)) == 0.0


def test_sigmas_are_those_of_fisher():
    assert sigmas(0.5, 103) == pytest.approx(5.493061443340549)
    assert sigmas(-0.5, 103) == pytest.approx(-5.493061443340549)
    assert sigmas(0.5, 4) == pytest.approx(math.atanh(0.5))
    assert [sigmas(0.5, count) for count in (3, 2, 0)] == [0.0, 0.0, 0.0]
    assert sigmas(1.0, 103) == sigmas(0.999999, 103) == -sigmas(-1.0, 103)


def test_the_paired_test_counts_in_standard_deviations():
    none, much = np.zeros(16), np.ones(16)
    assert closer(none, much) == 4.0
    assert closer(much, none) == -4.0
    assert closer(none, none) == math.inf
    assert closer(none, much / 64) == 4.0
    half = np.array([1.0] * 8 + [0.0] * 8)
    assert closer(half, 1 - half) == 0.0
    assert closer(np.array([0.0, 4.0]), np.array([3.0, 0.0])) == pytest.approx(-0.2)
