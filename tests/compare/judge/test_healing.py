"""Where a run is right again after a divergence, and what does not count as that."""

import dataclasses
import math

import pytest
import torch

from outgrow.compare.judge import judge
from tests.compare.judge.pairs import pair, run, words

BF16 = torch.bfloat16


def test_a_divergence_that_heals_is_told():
    """Query and key turned by one position too far: the scores are right again."""
    pairs = run([1e-7, [1e-7, 0.5, 0.5, 1e-7, 2e-7, 2e-7, 2e-7], 2e-7])
    judgement = judge(pairs)
    assert words(judgement) == ["ok"] * 8 + ["differs", "differs", "ok"] + ["healed"] * 10
    assert pairs[judgement.healed_at].name == "1_post_attn"
    assert judgement.reason == (
        "1_query is the first that differs: relative error 0.5, 2,097,152.0 times what rounding leaves; "
        "right again from 1_post_attn on"
    )


def test_what_is_left_of_an_error_is_not_healed():
    """A wrong rotation in a run of bfloat16: its error is averaged away in part, and never goes."""
    errors = [0.0, 0.52, 2e-3, 2.7e-3, 6.4e-2, 6e-2, 4.8e-2, 3.6e-2, 3e-2, 0.1, 2.5e-2, 0.33, 0.18]
    pairs = [pair(f"t{index}", error, dtype=torch.bfloat16) for index, error in enumerate(errors)]
    judgement = judge(pairs)
    assert words(judgement) == ["ok", "differs", "ok", "ok", *["inherited"] * 9]
    assert judgement.healed_at is None


@pytest.mark.parametrize(
    ("first", "before", "kind"),
    [
        ({}, 2.0**-22, "outputs"),
        ({}, 2.0**-22, "parameters"),
        ({"dtype": BF16, "digits": (8, 8)}, 1.5 * 2.0**-8, "outputs"),
    ],
)
def test_twice_what_was_right_is_right_again(first, before, kind):
    """Rounding of half precision, where that came first."""
    wrong = pair("a", 0.5, kind=kind, **first)
    assert words(judge([wrong, pair("b", 2 * before, kind=kind)]))[1] in ("ok", "healed")
    assert words(judge([wrong, pair("b", math.nextafter(2 * before, 1), kind=kind)]))[1] == "inherited"
    rest = judge([wrong, pair("b", 3 * before, kind=kind)]).judged[1]
    assert (rest.evidence, rest.reason) == (
        "rest", f"relative error {3 * before:.2g}, still 3.0 times what was right",
    )  # fmt: skip


def test_constants_and_copies_of_what_was_before_heal_nothing():
    """The scale of attention, and what an encoder gave, which the model gives again after all else."""
    encoded, wrong, after = pair("encoder", 1e-7), pair("decoder", 0.5), pair("after", 1e-7)
    copy = dataclasses.replace(encoded, name="output.encoder")
    scale = pair("scaling", elements=1)
    figures = dataclasses.replace(scale.measures.expected, std=0.0)
    scale = dataclasses.replace(scale, measures=dataclasses.replace(scale.measures, expected=figures))
    assert judge([encoded, wrong, scale, copy]).healed_at is None
    assert judge([encoded, wrong, scale, copy, after]).healed_at == 4


def test_rounding_may_grow_after_a_divergence_has_healed():
    pairs = [
        pair(f"t{index}", error)
        for index, error in enumerate([1e-7, 0.5, *(1e-7 * 1.2**n for n in range(20))])
    ]
    assert words(judge(pairs)) == ["ok", "differs", *["healed"] * 20]


def test_what_does_not_come_from_it_heals_nothing():
    pairs = [*run([1e-07])[:2], pair("0_key", 0.7), pair("0_value", 1e-07)]
    judgement = judge(pairs)
    assert words(judgement) == ["ok", "ok", "differs", "ok"]
    assert judgement.healed_at is None


def test_branches_go_wrong_by_themselves():
    pairs = [pair("0_query", 0.9), pair("0_key", 0.5), pair("0_post_attn", 0.5)]
    assert words(judge(pairs)) == ["differs", "differs", "inherited"]
    elsewhere = [pair("0_query", 0.9), pair("1_key", 0.5)]
    assert words(judge(elsewhere)) == ["differs", "inherited"]


def test_right_between_two_wrong_ones_is_ok():
    pairs = [pair("a"), pair("b", 0.5), pair("c", 1e-8), pair("d", 0.3), pair("e", 1e-8)]
    judgement = judge(pairs)
    assert words(judgement) == ["ok", "differs", "ok", "inherited", "healed"]


def test_ways_are_told_by_a_word_in_the_name_of_the_stage():
    def both(one, other):
        return words(judge([pair("0_a", 0.9, stage=one), pair("0_b", 0.5, stage=other)]))[1]

    assert both("attention.Q_proj", "attention.k_proj") == "differs"
    assert both("mlp.gate_proj", "mlp.up_proj") == "differs"
    assert both("attention.q_proj", "attention.q_norm") == "inherited"
    assert both("attention.q_proj", "mlp.up_proj") == "inherited"
    assert both("attention.q_proj", "attention.out") == "inherited"


def test_gradients_neither_heal_nor_are_healed():
    wrong = pair("g", 0.9, kind="gradients")
    assert words(judge([pair("a", 1e-7), wrong, pair("b", 1e-7)])) == ["ok", "differs", "ok"]
    right = pair("g", 1e-7, kind="gradients")
    assert words(judge([pair("a", 0.9), right])) == ["differs", "ok"]
