"""What the numbers of one pair say by themselves: what was found, on which ground, and why there is none."""

import math

import pytest
import torch

from outgrow.compare.layout.pair_search import search_pair
from outgrow.compare.layout.ranks import PartialSum, Replicated
from outgrow.compare.layout.written import hint_of
from tests.compare.layout.pairs import gate_up, qkv


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def hints(options):
    return [hint_of(option.layout, option.expected_layout) for option in options]


def said(pair_found):
    option = pair_found.found.option
    return pair_found.found.ground, None if option is None else hints([option])[0]


PADDED = "also not with {} (padded or cut tensors are not laid out)"


@pytest.mark.parametrize(
    ("expected", "ranks", "hint"),
    [
        ((0, 3), [(3, 0)], "reshape(0, 3)"),
        ((0, 4), [(0, 2)] * 2, "concatenate(1)"),
        ((0, 4), [(0, 1), (0, 3)], "concatenate(1)"),
        ((1, 0, 4), [(0, 2)] * 2, "concatenate(1), unsqueeze(0)"),
        ((0, 4), [(0, 4)] * 3, "concatenate(0)"),
    ],
    ids=str,
)
def test_shapes_decide_where_there_are_no_numbers(expected, ranks, hint):
    found = search_pair(torch.ones(expected), [torch.ones(shape) for shape in ranks])
    assert said(found) == ("confirmed", hint)
    assert (found.note, found.order, found.tried) == (None, None, ())


@pytest.mark.parametrize(
    ("expected", "ranks", "given"),
    [
        ((0, 3), [(2, 2)], "[2, 2] against [0, 3]"),
        ((2, 3), [(0, 3)] * 2, "[0, 3] on 2 ranks against [2, 3]"),
        ((0, 4), [(0, 1), (1, 1)], "[0, 1] and [1, 1] on 2 ranks against [0, 4]"),
        ((8, 5), [(8, 6)], "[8, 6] against [8, 5]"),
        ((8, 5), [(8, 6)] * 3, "[8, 6] on 3 ranks against [8, 5]"),
    ],
    ids=str,
)
def test_sizes_that_do_not_fit_are_named(expected, ranks, given):
    found = search_pair(torch.ones(expected), [torch.ones(shape) for shape in ranks])
    assert said(found) == ("none", None)
    assert found.note == f"{given}: the numbers of elements do not fit, {PADDED.format('repeated numbers')}"


def test_what_does_not_fit_as_a_part_is_named():
    found = search_pair(numbers(8, 5), [numbers(15, 5)], fused=gate_up(1))
    assert found.note == (
        f"[15, 5] against [8, 5]: the numbers of elements do not fit, {PADDED.format('up as a part')}"
    )
    found = search_pair(numbers(16, 8, seed=7), [numbers(48, 8)], fused=qkv(1))
    assert said(found) == ("ambiguous", None)
    assert found.note == (
        "[48, 8] against [16, 8]: the shapes allow key as a part, but the numbers confirm no way to do it"
    )
    assert hints(found.tried)[:3] == ["part(0, 16, 32)", "part(0, 8, 16, 2)", "part(0, 4, 8, 4)"]
    found = search_pair(numbers(4, 8, seed=7), [numbers(8, 8)])
    assert found.note == (
        "[8, 8] against [4, 8]: the shapes allow repeated numbers, but the numbers confirm no way to do it"
    )


def test_a_part_that_is_found_leaves_nothing_that_was_tried():
    parts = [numbers(16, 8, seed=seed) for seed in range(3)]
    found = search_pair(parts[1], [torch.cat(parts)], fused=qkv(1))
    assert said(found) == ("confirmed", "part(0, 16, 32)")
    assert (found.note, found.tried, found.order) == (None, (), None)


# Ranks that hold the whole shape ----------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3])
def test_equal_ranks_are_replicas(count):
    whole = numbers(12, 8)
    whole[0, 0] = math.nan
    assert said(search_pair(whole, [whole.clone() for _ in range(count)])) == ("confirmed", "replicated")
    turned = said(search_pair(whole.T, [whole.clone() for _ in range(count)]))
    assert turned == ("confirmed", "replicated, transpose(0, 1)")


def test_equal_ranks_are_replicas_also_where_their_sum_fits():
    """Twice the same number is the same number in another scale."""
    whole = numbers(12, 8)
    assert said(search_pair(2 * whole, [whole, whole.clone()])) == ("confirmed", "replicated")


def test_a_sum_is_no_rank_by_itself():
    whole, noise = numbers(12, 8), numbers(12, 8, seed=1)
    assert said(search_pair(whole, [0.5 * whole + noise, 0.5 * whole - noise])) == ("confirmed", "sum")
    turned = search_pair(whole.T, [0.5 * whole + noise, 0.5 * whole - noise])
    assert said(turned) == ("confirmed", "sum, transpose(0, 1)")
    # A rank may have nothing to add, as one of experts that no token went to.
    assert said(search_pair(whole, [whole, torch.zeros(12, 8)])) == ("confirmed", "sum")
    assert said(search_pair(whole, [torch.zeros(12, 8), whole])) == ("confirmed", "sum")
    for given, turn in ((whole, ""), (whole.T, ", transpose(0, 1)")):
        for ranks in ([whole, 0.01 * noise], [0.01 * noise, whole]):
            assert said(search_pair(given, ranks))[1] == f"replicated{turn}"


def test_ranks_of_which_one_is_right_are_replicas():
    whole, wrong = numbers(12, 8), numbers(12, 8, seed=1)
    for ranks in ([whole, wrong], [wrong, whole], [wrong, numbers(12, 8, seed=2), whole]):
        assert said(search_pair(whole, ranks))[1] == "replicated"
        assert said(search_pair(whole.T, ranks))[1] == "replicated, transpose(0, 1)"


def test_ranks_that_drifted_apart_are_still_like_each_other():
    whole = numbers(76, 64)
    drifted = [whole + 0.7 * numbers(76, 64, seed=seed) for seed in (1, 2, 3)]
    assert said(search_pair(whole, drifted, declared=None))[1] in ("replicated", "sum")
    apart = [numbers(76, 64, seed=seed) for seed in (1, 2, 3)]
    found = search_pair(whole, [apart[0] + apart[1], apart[0] - apart[1], apart[2]])
    assert said(found) == ("ambiguous", None)
    assert hints(found.found.others) == ["replicated"]
    assert found.found.agreement == pytest.approx(0.0, abs=0.1)


def test_what_is_declared_is_not_doubted():
    whole = numbers(12, 8)
    local = {"ranks": 2, "local": (12, 8)}
    ranks = [numbers(12, 8, seed=1), numbers(12, 8, seed=2)]
    assert said(search_pair(whole, ranks, declared=Replicated(**local))) == ("shapes", "replicated")
    assert said(search_pair(whole, ranks, declared=PartialSum(**local))) == ("shapes", "sum")


# Orders of ranks ----------------------------------------------------------------------


def test_another_order_of_ranks_is_told_with_how_well_it_fits():
    whole = numbers(76, 64)
    parts = [part.contiguous() for part in whole.chunk(4, 1)]
    found = search_pair(whole, parts)
    assert (said(found), found.order) == (("confirmed", "concatenate(1)"), None)
    found = search_pair(whole, [parts[1], parts[0], parts[2], parts[3]])
    assert said(found) == ("partly", "concatenate(1)")
    assert found.order.order == (1, 0, 2, 3)
    assert found.order.after == pytest.approx(1.0)
    assert found.order.all_after == pytest.approx(1.0)
    assert found.found.agreement == found.order.before < 0.2
    assert found.order.describe() == (
        f"the ranks fit in the order 1, 0, 2, 3: agreement 1.00 instead of {found.order.before:.2f}; "
        "they are compared in the order in which they were given"
    )


def test_the_order_is_seen_behind_a_part_in_runs():
    parts = [numbers(64, 8, seed=seed) for seed in range(3)]
    ranks = [torch.cat([part.chunk(2)[rank] for part in parts]) for rank in (1, 0)]
    found = search_pair(parts[1], ranks, fused=qkv(1))
    assert said(found) == ("partly", "concatenate(0), part(0, 32, 64, 2)")
    assert (found.order.order, found.tried, found.note) == ((1, 0), (), None)


def test_ranks_of_other_numbers_are_in_no_order():
    found = search_pair(numbers(76, 64), [numbers(76, 16, seed=9 + rank) for rank in range(4)])
    assert (said(found), found.order, found.tried) == (("shapes", "concatenate(1)"), None, ())
