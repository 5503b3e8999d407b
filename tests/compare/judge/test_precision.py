"""In which precision a run computed: read from how many bits its numbers have."""

import dataclasses

import pytest
import torch

from outgrow.compare.judge import Precision, as_computed, find_precisions, is_too_fine, is_unseen
from outgrow.compare.judge.judgement import Measured
from outgrow.compare.sample import SampleFigures
from tests.compare.judge.pairs import pair

BF16 = torch.bfloat16
WIDE = (torch.float32, torch.float64)


def rows(*digits, count=4, **figures):
    """So many pairs that differ, of float32 where nothing else is said."""
    return [pair(f"{index}_up", 1e-3, digits=digits, **figures) for index in range(count)]


def found(measured):
    return [(one.side, one.computed, one.stored) for one in find_precisions(measured)]


@pytest.mark.parametrize(
    ("digits", "precisions"),
    [
        ((8, 24), [("expected", BF16)]),
        ((24, 8), [("actual", BF16)]),
        ((8, 11), [("expected", BF16), ("actual", torch.float16)]),
        ((9, 12), [("expected", torch.float16)]),
        ((12, 24), []),
        ((None, 8), [("actual", BF16)]),
    ],
    ids=str,
)
def test_the_coarsest_dtype_is_told_that_holds_all_numbers(digits, precisions):
    assert found(rows(*digits)) == [(side, dtype, torch.float32) for side, dtype in precisions]


@pytest.mark.parametrize("wide", WIDE)
def test_what_is_stored_is_looked_at_on_each_side_by_itself(wide):
    mixed = rows(8, 8, dtype=BF16, actual_dtype=wide)
    assert found(mixed) == [("actual", BF16, wide)]
    mixed = rows(8, 8, dtype=wide, actual_dtype=torch.float16)
    assert found(mixed) == [("expected", BF16, wide)]


def test_the_coarsest_dtype_of_several_is_the_stored_one():
    mixed = [*rows(8, 24, dtype=torch.float64), *rows(8, 24, count=1)]
    assert found(mixed) == [("expected", BF16, torch.float32)]
    # A run that stores half precision as such means its float32 as float32.
    assert found([*rows(8, 24), *rows(8, 24, count=1, dtype=BF16)]) == []
    # What is no float says nothing.
    assert found([*rows(8, 24), *rows(None, None, count=1, dtype=torch.int64)]) == [
        ("expected", BF16, torch.float32)
    ]
    assert found(rows(8, 8, dtype=torch.int64)) == []


def test_one_finer_tensor_speaks_against_it_whatever_comes_before():
    assert found([*rows(8, 24), *rows(9, 24, count=1)]) == [("expected", torch.float16, torch.float32)]
    assert found([*rows(12, 24, count=1), *rows(8, 24)]) == []
    assert found([*rows(8, 24), *rows(24, 24, count=1, elements=63)]) == [("expected", BF16, torch.float32)]
    assert found([*rows(8, 24), *rows(24, 24, count=1, elements=64)]) == []


def test_parameters_and_what_was_not_measured_say_nothing():
    weight = pair("weight", 1e-3, kind="parameters", digits=(24, 24))
    lost = Measured(name="lost", stage="lost", layer=None, kind="outputs", measures=None)
    same = pair("same")
    assert found([weight, lost, same, *rows(8, 24)]) == [("expected", BF16, torch.float32)]
    assert found([dataclasses.replace(row, kind="parameters") for row in rows(8, 24)]) == []
    half = pair("half", 1e-3, kind="parameters", digits=(8, 8), dtype=BF16)
    assert found([half, *rows(8, 24)]) == [("expected", BF16, torch.float32)]
    # A pair that is equal was stored in something, but nobody looked at its digits.
    assert found([pair("same", dtype=BF16), *rows(8, 24)]) == [("expected", BF16, torch.float32)]


def test_three_tensors_are_too_few():
    assert found(rows(8, 24, count=3)) == []
    assert found([*rows(8, 24, count=3), *rows(8, 24, count=2, elements=63)]) == []
    assert found([*rows(8, 24, count=3), *rows(8, 24, count=1, elements=64)]) != []


@pytest.mark.parametrize("side", ["expected", "actual"])
def test_a_tensor_speaks_against_it_by_the_bits_of_its_side(side):
    precision = Precision(side=side, computed=BF16, stored=torch.float32)

    def sample(digits, elements=64):
        own, other = {side: digits}, 24 if digits == 8 else 8
        return SampleFigures(
            elements=elements, expected_digits=own.get("expected", other),
            actual_digits=own.get("actual", other), lost=0,
        )  # fmt: skip

    assert not is_too_fine(sample(8), precision)
    assert is_too_fine(sample(9), precision)
    assert not is_too_fine(sample(9, elements=63), precision)
    assert not is_too_fine(sample(None), precision)


@pytest.mark.parametrize("wide", WIDE)
def test_equal_pairs_of_wide_numbers_are_those_that_nobody_looked_at(wide):
    precision = Precision(side="expected", computed=BF16, stored=torch.float32)
    other = dataclasses.replace(precision, side="actual")
    assert is_unseen(pair("a", dtype=wide, actual_dtype=BF16), precision)
    assert not is_unseen(pair("a", dtype=wide, actual_dtype=BF16), other)
    assert not is_unseen(pair("a", dtype=BF16, actual_dtype=wide), precision)
    assert is_unseen(pair("a", dtype=BF16, actual_dtype=wide), other)
    assert not is_unseen(pair("a", 1e-3, dtype=wide), precision)
    assert not is_unseen(pair("a", dtype=wide, kind="parameters"), precision)
    lost = Measured(name="a", stage="a", layer=None, kind="outputs", measures=None)
    assert is_unseen(lost, precision) is False


@pytest.mark.parametrize("wide", WIDE)
def test_only_wide_numbers_of_that_side_are_taken_as_computed(wide):
    expected = Precision(side="expected", computed=BF16, stored=wide)
    actual = Precision(side="actual", computed=torch.float16, stored=wide)

    def dtypes(row, *precisions):
        (told,) = as_computed([row], precisions)
        return told.measures.expected_dtype, told.measures.actual_dtype

    row = pair("a", 1e-3, dtype=wide)
    assert dtypes(row, expected) == (BF16, wide)
    assert dtypes(row, actual) == (wide, torch.float16)
    assert dtypes(row, expected, actual) == (BF16, torch.float16)
    assert dtypes(row) == (wide, wide)
    assert dtypes(pair("a", 1e-3, dtype=torch.int64, actual_dtype=wide), expected, actual) == (
        torch.int64, torch.float16,
    )  # fmt: skip
    lost = Measured(name="a", stage="a", layer=None, kind="outputs", measures=None)
    weight = dataclasses.replace(row, kind="parameters")
    assert as_computed([lost, weight], [expected, actual]) == [lost, weight]


def test_a_precision_is_told_in_a_sentence():
    precision = Precision(side="actual", computed=BF16, stored=torch.float32)
    assert str(precision) == (
        "the actual run computed in bfloat16: all its numbers fit, though saved as float32"
    )
