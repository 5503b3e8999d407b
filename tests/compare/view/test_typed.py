"""What is typed finds the numbers that somebody would write so."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.view.number_text import texts
from outgrow.compare.view.typed import TypedNumber, in_range
from outgrow.errors import InputError
from tests.compare.view.windows import tensors


def found(typed, values, dtype=torch.float32):
    return TypedNumber.parse(typed).matches(torch.tensor(values, dtype=dtype)).tolist()


@pytest.mark.parametrize(
    ("typed", "values", "expected"),
    [
        ("0.12", [0.1149, 0.1151, 0.12, 0.1249, 0.1251, -0.12], [False, True, True, True, False, False]),
        ("1", [1.0, 1.2, 0.9999], [True, False, False]),
        ("1.0", [1.0, 1.04, 0.96], [True, False, False]),
        ("1.00", [1.0, 1.004, 0.996, 1.006], [True, True, True, False]),
        ("0", [0.0, -0.0, 1e-9], [True, True, False]),
        ("-0.5", [-0.5, 0.5, -0.54], [True, False, True]),
        ("1.5e-5", [1.5e-5, 1.54e-5, 1.56e-5, 1.5], [True, True, False, False]),
        ("1e-5", [1e-5, 1.1e-5], [True, False]),
        (" 0.5 ", [0.5], [True]),
        ("nan", [math.nan, 1.0, math.inf], [True, False, False]),
        ("inf", [math.inf, -math.inf, math.nan], [True, False, False]),
        ("-inf", [math.inf, -math.inf, 3e38], [False, True, False]),
        ("1e39", [math.inf, 3.4e38], [False, False]),
        (0.1, [0.1, 0.14], [True, False]),
        (2, [2.0, 2.1], [True, False]),
        (0.25, [0.25, 0.2500001], [True, False]),
    ],
    ids=str,
)
def test_floats_are_found_as_typed(typed, values, expected):
    assert found(typed, values) == expected


@pytest.mark.parametrize(
    ("typed", "values", "dtype", "expected"),
    [
        ("3", [3, 4], torch.int32, [True, False]),
        ("3.0", [3, 4], torch.int32, [True, False]),
        ("2.5", [2, 3], torch.int8, [False, False]),
        (str(2**53 + 1), [2**53, 2**53 + 1], torch.int64, [False, True]),
        (str(2**63), [2**63 - 1, -(2**63)], torch.int64, [False, False]),
        ("inf", [1, 2], torch.int64, [False, False]),
        ("nan", [1], torch.uint8, [False]),
        ("True", [True, False], torch.bool, [True, False]),
        ("0", [True, False], torch.bool, [False, True]),
        ("1+2j", [1 + 2j, 1 - 2j, 1], torch.complex64, [True, False, False]),
        ("(0.1+2j)", [0.14 + 2j, 0.1 + 2.1j], torch.complex64, [True, False]),
        ("2j", [2j, 2 + 2j], torch.complex128, [True, False]),
        ("-j", [-1j, 1j], torch.complex64, [True, False]),
        ("5j", [0, 5], torch.int64, [False, False]),
        ("12352", [12352, 12288], torch.bfloat16, [True, False]),
        ("0.1", [0.1, 0.2], torch.bfloat16, [True, False]),
        (0.1, [0.1, 0.1005859375], torch.bfloat16, [True, False]),
        ("3.14159265", [3.14159265, 3.15], torch.bfloat16, [True, False]),
        ("1000", [448.0], torch.float8_e4m3fn, [False]),
        ("-2", [2.0, 4.0], torch.float8_e8m0fnu, [False, False]),
        ("0", [2.0**-127, 1.0], torch.float8_e8m0fnu, [False, False]),
        ("1e-60", [0.0, 1e-45], torch.float32, [False, False]),
    ],
    ids=str,
)
def test_other_dtypes_too(typed, values, dtype, expected):
    assert found(typed, values, dtype) == expected


def test_uint64_has_all_its_range():
    numbers = torch.from_numpy(np.array([0, 2**63, 2**64 - 1], dtype=np.uint64))
    assert TypedNumber.parse(str(2**64 - 1)).matches(numbers).tolist() == [False, False, True]
    assert in_range(numbers, Fraction(2**63), math.inf).tolist() == [False, True, True]
    assert in_range(numbers, -math.inf, Fraction(2**63 - 1)).tolist() == [True, False, False]


@given(tensors(shape=(5,)))
def test_the_text_of_a_number_finds_it(numbers):
    for place, text in enumerate(texts(numbers)):
        assert bool(TypedNumber.parse(text).matches(numbers)[place]), text


ends = st.floats(-1e38, 1e38) | st.integers(-(2**64), 2**64)


@given(tensors(shape=(6,)), ends, ends)
def test_ranges_hold_what_lies_in_them(numbers, low, high):
    if numbers.is_complex():
        return
    matches = in_range(numbers, Fraction(low), Fraction(high)).tolist()
    if numbers.is_floating_point():
        as_shown = float if numbers.dtype == torch.float64 else np.float32
        least = float(np.finfo(as_shown).smallest_subnormal)
        ends = [(end, float(as_shown(end))) for end in (low, high)]
        low, high = (math.copysign(least, end) if end and not near else near for end, near in ends)
        numbers = numbers.double()
    assert matches == [low <= value <= high for value in numbers.numpy().tolist()]


def test_finite_ends_keep_infinities_out():
    numbers = torch.tensor([math.inf, -math.inf, 3e38])
    assert in_range(numbers, Fraction(10) ** 39 * -1, Fraction(10) ** 39).tolist() == [False, False, True]
    assert in_range(numbers, Fraction(10) ** 39, math.inf).tolist() == [True, False, False]


def test_ranges_of_complex_numbers_are_of_the_modulus():
    assert in_range(torch.tensor([3 + 4j, 1 + 0j]), Fraction(4), Fraction(6)).tolist() == [True, False]


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "abc",
        "1e999999999",
        "--1",
        "1.2.3",
        "1+2",
        "j2",
        None,
        True,
        [1],
        "9" * 401,
        "9" * 399 + "x",
        "0x10",
        "1+2jj",
    ],
    ids=repr,
)
def test_what_is_no_number_is_refused(typed):
    with pytest.raises(InputError) as caught:
        TypedNumber.parse(typed)
    assert caught.value.hint
