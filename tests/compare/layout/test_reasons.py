"""What is assumed of a layout is said, word for word; of what is confirmed nothing is."""

import re

import pytest
import torch

from outgrow.compare.layout import find_stage_layouts
from tests.compare.layout.pairs import pair


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def reason_of(*pairs, which=0):
    found = find_stage_layouts(pairs)[which]
    return found.describe(), found.reason


def test_what_is_confirmed_needs_none():
    x = torch.randn(76, 64)
    assert reason_of(pair(x, x, x.clone())) == ("replicated on 2 ranks", None)
    assert reason_of(pair(x, x.T.contiguous())) == ("transpose(0, 1)", None)


def test_sums():
    x, noise = torch.randn(2, 76, 64)
    assert reason_of(pair(x, noise, x - noise)) == (
        "sum of 2 ranks", "the sum of the ranks fits, and no rank by itself: taken as partial sums",
    )  # fmt: skip
    whole = torch.randn(76, 64)
    pairs = [
        pair(x, noise, x - noise, stage="mlp", layer=0),
        pair(whole, whole, whole.clone(), stage="mlp", layer=1),
    ]
    layout, reason = reason_of(*pairs)
    assert reason.endswith("the farthest from expected; the sum of the 2 ranks fits: they were not added up")
    assert reason.startswith("rank 1 differs from rank 0 in up to 4,864 elements, by up to ")
    assert layout.startswith("replicated on 2 ranks")
    assert reason_of(*pairs, which=1) == ("replicated on 2 ranks", None)


def test_maps_that_give_the_same_numbers():
    threes = torch.full((6, 8, 64), 3.0)
    assert reason_of(pair(threes, torch.full((64, 48), 3.0))) == (
        "[64, 48] -> [6, 8, 64]: transpose(0, 1), reshape(6, 8, 64)",
        "the simplest of several that give the same numbers: "
        "'[64, 48] -> [6, 8, 64]: reshape(64, 8, 6), permute(2, 1, 0)'",
    )


def test_maps_that_are_only_allowed():
    x, other = torch.randn(8, 9), torch.randn(9, 8)
    assert reason_of(pair(x, other)) == (
        "transpose(0, 1)", "the only one that the shapes allow; the numbers do not confirm it",
    )  # fmt: skip
    layout, reason = reason_of(pair(torch.randn(8, 8, 6), torch.randn(8, 6, 8)))
    first, _, maps = reason.partition(": ")
    assert (layout, first) == (None, "the shapes allow several maps and the numbers confirm none")
    assert sorted(re.findall(r"'([^']+)'", maps)) == [
        "[8, 6, 8] -> [8, 8, 6]: permute(0, 2, 1)",
        "[8, 6, 8] -> [8, 8, 6]: reshape(48, 8), transpose(0, 1), reshape(8, 8, 6)",
    ]


def test_layers_that_do_not_confirm_it():
    pairs = []
    for layer in range(4):
        x = torch.randn(8, 8, 60)
        moved = x.permute(1, 2, 0).contiguous() if layer != 2 else torch.randn(8, 60, 8)
        pairs.append(pair(x, moved, layer=layer))
    assert reason_of(*pairs, which=2)[1] == (
        "as in the other layers of query; the numbers do not confirm it here"
    )
    assert [one.reason for one in find_stage_layouts(pairs)][::3] == [None, None]


def test_another_order_of_ranks_in_a_layer_that_did_not_vote():
    pairs = []
    for layer in range(20):
        x = torch.randn(16, 64)
        parts = [part.contiguous() for part in x.chunk(2, 1)]
        pairs.append(pair(x, *(parts[::-1] if layer == 15 else parts), layer=layer))
    found = find_stage_layouts(pairs)
    assert [index for index, one in enumerate(found) if one.suspected] == [15]
    assert set(found[15].suspected) == {"rank_order"}
    assert found[15].reason == found[15].suspected["rank_order"]
    assert found[15].reason.startswith("the ranks fit in the order 1, 0: agreement 1.00 instead of ")


def test_replicas_behind_a_transpose():
    x = torch.randn(76, 64)
    wrong = x.clone()
    wrong[3, 4] += 2
    layout, reason = reason_of(pair(x.T.contiguous(), x, wrong))
    assert layout == "replicated on 2 ranks, measured on rank 1; transpose(0, 1)"
    assert reason == (
        "rank 1 differs from rank 0 in up to 1 elements, by up to 2; "
        "measured is rank 1, the farthest from expected"
    )


def test_repeated_heads_of_a_layer_that_did_not_vote_are_looked_at():
    pairs = []
    for layer in range(20):
        heads = torch.randn(1, 2, 37, 16)
        repeated = heads.repeat_interleave(4, dim=1)[0].transpose(0, 1).contiguous()
        pairs.append(pair(heads, repeated if layer != 15 else torch.randn_like(repeated), layer=layer))
    reasons = [one.reason for one in find_stage_layouts(pairs)]
    assert reasons[:15] == [None] * 15
    assert reasons[15] == "as in the other layers of query; the numbers do not confirm it here"
