"""Where a diagnosis would be a guess nothing is said, or another kind that holds more exactly."""

import math

import pytest
import torch

from outgrow.compare.diagnosis import missing_term, nan_born
from outgrow.compare.diagnosis.examination import prepare
from tests.compare.diagnosis.cases import (
    BEFORE,
    DIM,
    FACTORS,
    FLAT,
    HEADED,
    HEADS,
    RIGHT,
    SEQ,
    changed,
    findings,
    flipped,
    noisy,
    numbers,
    read,
    said,
)

SMALL = numbers(4, 4, seed=30)


def test_one_of_few_numbers_is_not_called_a_bad_element():
    assert "bad_element" not in said(("0_a", SMALL, changed(SMALL, (1, 2), 50.0)))
    large = numbers(8, 4, seed=30)
    assert "at [1, 2] 50 instead of" in said(("0_a", large, changed(large, (1, 2), 50.0)))["bad_element"]


def test_an_element_that_stands_out_is_not_bad_where_the_others_explain_as_much():
    spread = torch.rand(FLAT.shape, generator=torch.Generator().manual_seed(31)) * 0.02 - 0.01
    wrong = FLAT + changed(spread, (7, 9), 0.2)
    assert "bad_element" not in said(RIGHT, ("0_query", FLAT, wrong))


@pytest.mark.parametrize("value", [1234.5, -77.0])
def test_no_bit_is_named_where_flipping_one_does_not_do_it(value):
    told = said(RIGHT, ("0_query", FLAT, changed(FLAT, (7, 9), value)))
    assert f"at [7, 9] {value:g} instead of {FLAT[7, 9].item():.6g}" in told["bad_element"]
    assert "bit" not in told["bad_element"]


def test_no_bit_is_named_between_two_dtypes():
    wrong = flipped(FLAT, (7, 9), 26)
    assert "by bit 26 of 32 alone" in said(RIGHT, ("0_query", FLAT, wrong))["bad_element"]
    told = said(RIGHT, ("0_query", FLAT, wrong.double()))
    assert told["bad_element"].startswith("1 element is far off: at [7, 9]")
    assert "bit" not in told["bad_element"]


def test_several_bad_elements_are_counted():
    wrong = changed(changed(FLAT, (7, 9), 900.0), (3, 1), 950.0)
    assert said(RIGHT, ("0_query", FLAT, wrong))["bad_element"].startswith(
        "2 elements are far off: at [3, 1]"
    )


def test_one_wrong_channel_or_row_is_a_place_and_no_factor_of_each():
    for index, at in (
        ((slice(None), 5), "along dim 1 only index 5 of 96"),
        ((3,), "along dim 0 only index 3"),
    ):
        told = said(RIGHT, ("0_norm", FLAT, changed(FLAT, index, 3 * FLAT[index])))
        assert at in told["place"]
        assert not {"channel_factor", "row_factor"} & set(told)


def test_factors_of_channels_that_are_nearly_one_are_not_called_one():
    told = said(RIGHT, ("0_norm", FLAT, noisy(FLAT * (2 + 0.02 * FACTORS))))
    assert set(told) == {"channel_factor"}


@pytest.mark.parametrize(("factor", "is_said"), [(1.37, False), (8.0, True), (math.sqrt(7), True)])
def test_a_factor_of_one_number_needs_a_name(factor, is_said):
    told = said(("0_scaling", torch.tensor(1.0), torch.tensor(factor)))
    assert ("constant_factor" in told) is is_said


def test_few_numbers_fit_into_a_coarser_dtype_by_chance():
    few, enough = numbers(7, 9, seed=32), numbers(8, 8, seed=32)
    assert "dtype_downgrade" not in said(("0_a", few, few.bfloat16().float()))
    assert "all 64 numbers" in said(("0_a", enough, enough.bfloat16().float()))["dtype_downgrade"]


def test_ranks_whose_sum_is_not_right_have_not_missed_an_all_reduce():
    wrong = [numbers(64, 96, seed=seed) for seed in (33, 34)]
    assert "missing_all_reduce" not in said(("0_out", numbers(64, 96, seed=35), wrong))


def test_half_of_the_numbers_is_no_partial_sum_though_factor_and_cosine_fit():
    wanted = numbers(64, 96, seed=36)
    half = wanted.clone()
    half[:, ::2] = 0
    assert "missing_all_reduce" not in said(("0_out", wanted, half))


def test_a_tensor_of_zeros_is_no_missing_term():
    zeros = torch.zeros_like(BEFORE)
    pairs = RIGHT, ("0_zeros", zeros, zeros), ("0_sum", BEFORE + FLAT, noisy(FLAT))
    assert said(*pairs)["missing_term"].startswith("0_input is missing from the sum")


def test_a_part_of_a_term_is_said_with_its_factor():
    told = said(RIGHT, ("0_sum", BEFORE + FLAT, noisy(1.5 * BEFORE + FLAT)))
    assert told["missing_term"].startswith("0.5 times 0_input was added too much")


def test_the_tensor_itself_is_no_term_of_it():
    rows = findings(("0_a", FLAT, noisy(FLAT)), ("0_b", 2 * FLAT, noisy(3 * FLAT)))
    assert missing_term.diagnose(prepare(rows, 1, read)) is None


def test_a_term_is_looked_for_among_the_twelve_tensors_before():
    between = [
        (f"0_{name}", *[numbers(*FLAT.shape, seed=40 + at)] * 2) for at, name in enumerate("abcdefghijkl")
    ]
    wrong = "0_sum", BEFORE + FLAT, noisy(FLAT)
    assert "missing_term" not in said(RIGHT, *between, wrong)
    assert "0_input is missing" in said(RIGHT, *between[:-1], wrong)["missing_term"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nothing_is_born_where_a_tensor_before_has_it(value):
    wrong = "0_query", FLAT, changed(FLAT, (3, 5), value)
    rows = findings(("0_input", BEFORE, changed(BEFORE, (0, 0), value)), wrong)
    assert nan_born.diagnose(prepare(rows, 1, read)) is None
    assert nan_born.diagnose(prepare(rows, 0, read)).at == "0_input"
    rows = findings(("0_input", *[changed(BEFORE, (0, 0), value)] * 2), wrong)
    assert "none that are not expected" in nan_born.diagnose(prepare(rows, 1, read)).detail


def test_rows_that_are_moved_alike_have_no_offset_of_their_own():
    told = said(RIGHT, ("0_norm", FLAT, noisy(FLAT + 0.5)))
    assert "row_offset" not in told
    assert "from 0.5 to 0.5 by channel" in told["channel_offset"]


def test_three_rows_are_too_few_to_be_shifted():
    three = numbers(3, 40, seed=37)
    told = said(("0_a", three, noisy(three.roll(1, 0))))
    assert "shift" not in told
    assert "2, 0, 1 (rolled by -1)" in told["permutation"]


def test_a_shard_that_is_there_twice_is_no_order_of_ranks():
    first, _, last = FLAT.chunk(3, -1)
    told = said(RIGHT, ("0_query", FLAT, [noisy(shard) for shard in (first, first, last)]))
    assert "wrong_rank_order" not in told
    assert "0, 0, 2 (only 2 of 3 are there)" in told["permutation"]


def test_an_unlike_parameter_is_not_named():
    other, zero = numbers(HEADS * DIM, seed=38), torch.zeros(HEADS * DIM)
    weights = [(name, at, at, "parameters") for name, at in (("other", other), ("zero", zero))]
    scaled, moved = ("0_norm", FLAT * FACTORS, noisy(FLAT)), ("0_query", FLAT + FACTORS, noisy(FLAT))
    assert "with w" not in said(*weights, RIGHT, scaled)["channel_factor"]
    assert said(*weights, RIGHT, moved)["channel_offset"].endswith("is left")
    own = "own", FACTORS, FACTORS, "parameters"
    assert "1/w with w = own" in said(*weights, own, RIGHT, scaled)["channel_factor"]
    twice = "0_query", FLAT, noisy(FLAT + FACTORS)
    assert said(own, *weights, RIGHT, twice)["channel_offset"].endswith("; own is added once too often")


def test_a_batch_of_one_hides_no_bias_of_heads():
    heads = HEADED[None]
    told = said(RIGHT, ("0_query", heads + FACTORS.reshape(1, HEADS, 1, DIM), noisy(heads)))
    assert "the same in every row" in told["channel_offset"]


def test_blocks_are_looked_for_only_along_dims_that_are_seen_whole():
    large = numbers(1280, 1024, seed=39)
    assert large.numel() > 2**20
    told = said(("0_a", large, large.roll(640, 0)))
    assert "permutation" not in told
    told = said(("0_a", large, large.roll(512, 1)))
    assert "along dim 1 the 2 blocks of 512" in told["permutation"]


def test_one_row_of_numbers_is_not_turned():
    assert "rotation" not in said(("0_a", numbers(SEQ * DIM, seed=41), numbers(SEQ * DIM, seed=42)))
