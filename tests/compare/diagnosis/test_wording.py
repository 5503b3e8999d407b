"""How figures are put: orders of blocks, indices, factors, angles."""

import math

import pytest
import torch

from outgrow.compare.diagnosis.constant_factor import name_factor
from outgrow.compare.diagnosis.permutation import tell_sources
from outgrow.compare.diagnosis.place import tell_indices
from tests.compare.diagnosis.cases import DIM, FLAT, HEADED, RIGHT, SEQ, noisy, numbers, rotated, said


@pytest.mark.parametrize(
    ("sources", "wanted"),
    [
        ([1, 0], "1, 0 (the halves are swapped)"),
        ([2, 1, 0], "2, 1, 0 (in reverse)"),
        ([0, 2, 4, 1, 3, 5], "0, 2, 4, 1, 3, 5 (pairs split into halves)"),
        ([0, 3, 1, 4, 2, 5], "0, 3, 1, 4, 2, 5 (halves interleaved into pairs)"),
        ([1, 2, 3, 4, 0], "1, 2, 3, 4, 0 (rolled by 1)"),
        ([4, 0, 1, 2, 3], "4, 0, 1, 2, 3 (rolled by -1)"),
        ([0, 3, 6, 1, 4, 7, 2, 5, 8], "0, 3, 6, 1, 4, 7, 2, 5, ... (3 x 3 transposed)"),
        (
            [0, 3, 6, 9, 12, 1, 4, 7, 10, 13, 2, 5, 8, 11, 14],
            "0, 3, 6, 9, 12, 1, 4, 7, ... (5 x 3 transposed)",
        ),
        ([0, 0, 2, 2], "0, 0, 2, 2 (only 2 of 4 are there)"),
        ([0, 2, 1, 4, 3], "0, 2, 1, 4, 3"),
    ],
)
def test_an_order_of_blocks_has_its_name(sources, wanted):
    assert tell_sources(sources) == wanted


@pytest.mark.parametrize(
    ("indices", "wanted"),
    [
        ([3], "only index 3"),
        ([20, 21, 22, 23], "only the last 4"),
        ([0, 1], "only the first 2"),
        ([4, 5, 6], "only 4 to 6"),
        ([1, 5, 9], "only every 4th from 1 on"),
        ([1, 5], "only 2 (1, 5)"),
        ([1, 2, 3, 5, 8, 13, 21], "only 7 (1, 2, 3, 5, 8, 13, ...)"),
    ],
)
def test_indices_are_told_by_what_they_have_in_common(indices, wanted):
    assert tell_indices(indices, 24) == wanted


def test_the_dim_with_the_smallest_share_of_wrong_entries_is_the_place():
    wrong = FLAT.clone()
    wrong[-4:, :48] = numbers(4, 48, seed=50)
    assert said(RIGHT, ("0_a", FLAT, wrong))["place"].startswith("along dim 0 only the last 4 of 24")
    wrong = FLAT.clone()
    wrong[:12, 7] = numbers(12, seed=50)
    assert said(RIGHT, ("0_a", FLAT, wrong))["place"].startswith("along dim 1 only index 7 of 96")


@pytest.mark.parametrize(
    ("factor", "tolerance", "wanted"),
    [
        (math.sqrt(7), 1e-7, "sqrt(7)"),
        (1 / math.sqrt(7), 1e-7, "1/sqrt(7)"),
        (math.sqrt(7), 1e-3, None),
        (math.sqrt(2000), 1e-7, None),
        (0.125, 1e-3, "1/sqrt(64)"),
        (5.0, 1e-3, "5"),
        (0.0, 0.0, None),
        (1.37, 0.0, None),
    ],
)
def test_a_factor_that_is_known_coarsely_is_no_root_by_chance(factor, tolerance, wanted):
    assert name_factor(factor, tolerance=tolerance, sizes=[5]) == wanted


def _turned(heads, angles):
    """`[heads, seq, dim]`, each pair turned by `[seq, dim / 2]` radians."""
    half = heads.shape[-1] // 2
    pairs = torch.complex(heads[..., :half].double(), heads[..., half:].double())
    pairs = pairs * torch.polar(torch.ones_like(angles), angles)
    return noisy(torch.cat([pairs.real, pairs.imag], -1).float())


_PLACES = torch.arange(SEQ, dtype=torch.float64)[:, None]
_FREQUENCIES = torch.linspace(0.2, 0.4, DIM // 2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("angles", "wanted"),
    [
        (numbers(SEQ, DIM // 2, seed=51).double(), "turned: by angles that are not linear in the position;"),
        (_PLACES * 0 + _FREQUENCIES, "turned: by angles that are the same at all positions;"),
        (_PLACES * 0.1 + _FREQUENCIES, "turned: by angles that grow with the position;"),
        (_PLACES * _FREQUENCIES.flip(0) * 0.3, "turned: by angles that grow with the position;"),
    ],
)
def test_angles_of_no_base_are_told_by_how_they_change(angles, wanted):
    assert wanted in said(RIGHT, ("0_query", HEADED, _turned(HEADED, angles)))["rotation"]


def test_heads_of_two_pairs_have_no_base():
    heads = numbers(6, SEQ, 4, seed=52)
    told = said(RIGHT, ("0_query", rotated(heads, 1e4), noisy(heads)))
    assert "heads of 4" in told["rotation"]
    assert "turned: by angles that grow with the position;" in told["rotation"]
    assert "base" not in told["rotation"]


def test_steps_are_told_as_people_count_them():
    assert tell_indices([0, 2, 4, 6], 8) == "only every second from 0 on"
    assert tell_indices([1, 4, 7], 9) == "only every third from 1 on"
    assert tell_indices([0, 21, 42], 50) == "only every 21st from 0 on"
    assert tell_indices([0, 112, 224], 300) == "only every 112th from 0 on"
