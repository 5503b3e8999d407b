import math

import pytest
import torch

from outgrow.compare.measures import measure
from outgrow.compare.sample import sample, size_around


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("dtype", "digits"),
    [
        (torch.float32, 24),
        (torch.float16, 11),
        (torch.bfloat16, 8),
        (torch.float8_e4m3fn, 4),
        (torch.float8_e5m2, 3),
    ],
)
def test_digits_are_those_of_the_finest_number(dtype, digits):
    fine = numbers(40, 50)
    seen = sample(fine.to(dtype).float(), fine)
    assert (seen.expected_digits, seen.actual_digits) == (24, digits)
    assert sample(fine, fine.to(dtype)).expected_digits == digits


def test_integers_and_zeros_have_no_digits():
    seen = sample(torch.zeros(9), torch.arange(9))
    assert (seen.expected_digits, seen.actual_digits) == (None, None)


def test_numbers_that_are_lost_are_counted_on_either_side():
    expected = numbers(64, 96).sign()
    lost = expected.clone()
    lost[10:20] = 0
    for seen in (sample(lost, expected), sample(expected, lost)):
        assert seen.elements == 1024
        assert abs(seen.lost / 1024 - 10 / 64) < 0.03


def test_small_numbers_may_be_rounded_to_0():
    expected = numbers(1000)
    assert sample(torch.where(expected.abs() < 0.1, 0.0, expected), expected).lost == 0
    assert sample(torch.where(expected.abs() < 0.9, 0.0, expected), expected).lost > 100


def test_only_what_is_finite_on_both_sides_counts():
    expected, actual = torch.ones(10), torch.ones(10)
    expected[3], actual[4], actual[5] = math.nan, math.inf, 0.0
    seen = sample(actual, expected)
    assert (seen.elements, seen.lost) == (8, 1)


@pytest.mark.parametrize("shape", [(0,), (), (1,), (3, 0, 2)])
def test_few_and_no_elements(shape):
    assert sample(torch.ones(shape), torch.ones(shape)).elements == math.prod(shape)


def test_the_order_of_memory_does_not_matter():
    one, other = numbers(60, 70), numbers(60, 70, seed=1)
    assert sample(one.T, other.T) == sample(one.T.contiguous(), other.T.contiguous())
    assert sample(one[::2, ::3], other[::2, ::3]) == sample(one[::2, ::3].clone(), other[::2, ::3].clone())


@pytest.mark.parametrize("channels", [2, 32, 64, 96, 128, 1024, 4096])
def test_places_fall_into_step_with_no_dim(channels):
    expected = torch.ones(2**20 // channels, channels)
    lost = expected.clone()
    lost[:, channels // 2] = 0
    assert abs(sample(lost, expected).lost - 1024 / channels) <= 4 + 1024 / channels / 4


def test_a_number_is_as_large_as_its_row_or_channel():
    tensor = torch.ones(8, 16)
    tensor[:, 3] = 100.0
    tensor[2, 3] = 0.5
    assert size_around(tensor, (2, 3)) == pytest.approx(0.5 + 100 * math.sqrt(7 / 8), rel=1e-3)
    assert size_around(tensor, (2, 4)) == pytest.approx(1 + 1, rel=1e-1)
    assert size_around(torch.tensor(-3.0), ()) == 3.0
    assert math.isnan(size_around(torch.tensor([math.inf]), (0,)))


def test_equal_tensors_are_not_sampled():
    equal = measure(torch.ones(5), torch.ones(5))
    assert (equal.sample, equal.size_at_max, equal.expected_at_max) == (None, None, None)
    other = measure(torch.tensor([1.0, 5.0]), torch.tensor([1.0, -2.0]))
    assert other.expected_at_max == -2.0
    assert other.size_at_max == 4.0
