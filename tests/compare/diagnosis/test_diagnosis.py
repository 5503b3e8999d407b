import re
from pathlib import Path

import pytest
import torch

from outgrow.compare.diagnosis import COVERS, DIAGNOSERS, diagnose
from outgrow.compare.diagnosis.context import window
from tests.compare.diagnosis.cases import (
    BEFORE,
    CASES,
    FACTORS,
    FLAT,
    HEADED,
    RIGHT,
    findings,
    noisy,
    numbers,
    read,
    rotated,
    said,
)

DETAILS = {
    "factor": ("constant_factor", r"0\.25 times .*\(1/sqrt\(16\)|0\.25 times .*\(1/4\)"),
    "sign": ("constant_factor", r"-1 times .*\(the sign\)"),
    "zero": ("constant_factor", "all numbers are 0"),
    "scalar": ("constant_factor", r"8 times .*\(sqrt\(64\)\)"),
    "heads": ("permutation", "along dim 0 the 6 blocks of 1 .* 2, 1, 0, 5, 3, 4"),
    "halves": ("permutation", "the 2 blocks of 48 .* 1, 0 .the halves are swapped"),
    "interleaved": ("permutation", "halves interleaved into pairs"),
    "tiled": ("permutation", "only 1 of 3 are there"),
    "late": ("shift", "along dim 0 everything is 1 too late"),
    "early": ("shift", "along dim 1 everything is 1 too early"),
    "ranks": ("wrong_rank_order", "3 ranks along dim 1 are those expected of ranks 2, 1, 0"),
    "all_reduce": ("missing_all_reduce", "the sum of the 4 ranks is right"),
    "one_partial_sum": ("missing_all_reduce", "one of 4 partial sums"),
    "nan": ("nan_born", r"1 NaN are born here.*\[3, 5\]"),
    "infinity": ("nan_born", "96 infinities are born here"),
    "downgrade": ("dtype_downgrade", "fit into torch.bfloat16"),
    "downgrade_inside": ("dtype_downgrade", "rounded to torch.float16"),
    "transposed": ("transposed", r"transpose\(0, 1\)"),
    "bit": ("bad_element", r"at \[7, 9\].*bit 26 of 32"),
    "base": ("rotation", r"as with base 5e\+05 where 1e\+04 is expected"),
    "position": ("rotation", r"by 1 position too far \(base 10000\)"),
    "backwards": ("rotation", r"backwards \(base 10000\)"),
    "not_rotated": ("unchanged", "it is still 0_query"),
    "not_added": ("missing_term", "0_input is missing from the sum"),
    "added_twice": ("missing_term", "0_input was added once too often"),
    "channels": ("channel_factor", "each of the 96 channels"),
    "rows": ("row_factor", "each of 24 rows"),
    "bias": ("channel_offset", "the same in every row"),
    "bias_of_heads": ("channel_offset", "the same in every row"),
    "mean": ("row_offset", "each row is moved as a whole"),
    "other_layer": ("misplaced", "expected at 0_norm"),
    "last_rows": ("place", "along dim 0 only the last 4 of 24"),
}


@pytest.mark.parametrize("name", DETAILS)
def test_what_happened_is_said_with_its_figures(name):
    pairs, _ = CASES[name]
    kind, pattern = DETAILS[name]
    assert re.search(pattern, said(*pairs).get(kind, "")), said(*pairs)


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_said_without_evidence(name):
    pairs, may_be_said = CASES[name]
    assert set(said(*pairs)) <= may_be_said, said(*pairs)


def test_every_kind_is_seen_and_is_silent_elsewhere():
    seen = {kind: name for name, (kind, _) in DETAILS.items()}
    assert set(seen) == set(DIAGNOSERS)
    assert all(any(kind not in allowed for _, allowed in CASES.values()) for kind in DIAGNOSERS)


def test_covers_names_kinds():
    assert set(COVERS).union(*COVERS.values()) <= set(DIAGNOSERS)


def test_every_kind_is_in_the_reference():
    page = (Path(__file__).parents[3] / "docs/reference/compare-diagnoses.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(DIAGNOSERS)


@pytest.mark.parametrize("name", ["factor", "heads", "late", "transposed", "not_added", "rows", "bias"])
def test_the_noise_of_half_precision_hides_nothing(name):
    pairs, _ = CASES[name]
    coarse = [(n, e.bfloat16(), a.bfloat16(), *kind) for n, e, a, *kind in pairs]
    assert DETAILS[name][0] in said(*coarse)


def test_a_recorded_weight_is_named():
    weight = ("norm.weight", FACTORS, FACTORS, "parameters")
    told = said(weight, RIGHT, ("0_norm", FLAT * FACTORS, noisy(FLAT * (1 + FACTORS))))
    assert "(1 + w)/w with w = norm.weight" in told["channel_factor"]
    bias = ("q.bias", FACTORS, FACTORS, "parameters")
    told = said(bias, RIGHT, ("0_query", FLAT + FACTORS, noisy(FLAT)))
    assert "q.bias is missing" in told["channel_offset"]


def test_a_nan_that_came_from_before_is_not_born_here():
    nan = torch.full_like(FLAT, torch.nan)
    rows = findings(("0_input", BEFORE, nan), ("0_query", FLAT, nan))
    at = [found.at for found in diagnose(rows, read=read, limit=9) if found.kind == "nan_born"]
    assert at == ["0_input"]


def test_only_what_went_wrong_by_itself_is_looked_at():
    read_names = []

    def counting(finding):
        read_names.append(finding.pair.expected_name)
        return read(finding)

    wrong = numbers(*FLAT.shape, seed=20)
    rows = findings(RIGHT, ("0_a", FLAT, wrong), ("0_b", FLAT, wrong), ("0_c", FLAT, wrong))
    diagnose(rows, read=counting, limit=1)
    assert "0_a" in read_names
    assert not {"0_b", "0_c"} & set(read_names)


def test_no_pair_is_diagnosed_that_is_right():
    assert diagnose(findings(RIGHT), read=read) == ()


def test_a_pair_without_a_layout_is_passed_over():
    (row,) = findings(("0_a", FLAT, numbers(*FLAT.shape, seed=20)))
    shapeless = type(row)(pair=row.pair, layout=row.layout, measures=None, judged=row.judged)
    assert diagnose([shapeless], read=read) == ()


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.int64, torch.uint8, torch.complex64, torch.float8_e4m3fn]
)
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (40, 48)])
def test_no_dtype_and_no_shape_breaks_a_diagnoser(dtype, shape):
    expected, actual = ((10 * numbers(*shape, seed=seed)).to(dtype) for seed in (1, 2))
    diagnose(findings(("a", expected, actual)), read=read)


@pytest.mark.parametrize("around", [(0, 0, 0), (29, 3, 63), (15, 2, 7)])
def test_a_window_holds_the_worst_element_and_whole_channels(around):
    expected = torch.arange(30 * 4 * 64.0).reshape(30, 4, 64)
    wanted, found, origin = window(expected, -expected, around, elements=1000)
    assert wanted.numel() <= 1000
    assert wanted.shape[-1] == 64
    place = tuple(index - start for index, start in zip(around, origin, strict=True))
    assert wanted[place] == expected[around] == -found[place]
    whole, _, nowhere = window(expected, expected, around)
    assert (whole.shape, nowhere) == (expected.shape, (0, 0, 0))


@pytest.mark.parametrize("shape", [(5000,), (1, 5000), (1, 1, 1), (1001, 1)])
def test_any_shape_has_a_window(shape):
    around = tuple(size - 1 for size in shape)
    wanted, _, _ = window(torch.ones(shape), torch.ones(shape), around, elements=1000)
    assert 0 < wanted.numel() <= 1000


def test_rotation_in_pairs_of_neighbours_is_seen():
    told = said(
        RIGHT,
        (
            "0_q",
            rotated(HEADED, 1e4, pairing="pairs"),
            noisy(rotated(HEADED, 1e4, offset=1, pairing="pairs")),
        ),
    )
    assert "2i with 2i + 1" in told["rotation"]
