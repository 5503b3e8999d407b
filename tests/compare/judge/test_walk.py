"""Along the chain of activations: what matches, what differs, and what only inherits it."""

import dataclasses
import math

import pytest
import torch

from outgrow.compare.judge import Judged, Measured, judge
from tests.compare.judge.pairs import U, measures, pair, run, verdict, words

BF16 = torch.bfloat16


def test_equal_runs_match():
    judgement = judge(run([0.0, 0.0]))
    assert (judgement.verdict, judgement.first_divergence, judgement.healed_at) == ("match", None, None)
    assert words(judgement) == ["ok"] * 14
    assert judgement.reason == "all 14 pairs match"


@pytest.mark.parametrize("dtype", U)
def test_rounding_alone_matches(dtype):
    assert verdict(run([[U[dtype]] * 7, [2 * U[dtype]] * 7], dtype=dtype)) == ("match", None)


def test_slow_growth_through_a_deep_net_matches():
    growing = [1e-7 * 1.3**layer for layer in range(40)]
    assert growing[-1] > 2e-3
    assert verdict(run(growing)) == ("match", None)


@pytest.mark.parametrize(
    ("factor", "dtype", "digits", "most"),
    [(2.3, torch.float32, 24, 0.013), (1.9, BF16, 8, 0.37), (4.5, torch.float32, 24, 0.013)],
    ids=["float32", "bfloat16", "fivefold"],
)
def test_what_grows_slowly_to_nonsense_does_not_match(factor, dtype, digits, most):
    """No single step is a jump, and the last tensors have nothing in common any more."""
    first = 0.02 if dtype == BF16 else 1e-6
    errors = [first * factor**step for step in range(20)]
    pairs = [pair(f"t{step}", e, dtype=dtype, digits=(digits, digits)) for step, e in enumerate(errors)]
    judged = judge(pairs)
    assert judged.verdict == "differ"
    found = judged.judged[judged.first_divergence]
    assert found.evidence == "drift"
    assert found.error <= most * factor
    assert all(error <= most for error in errors[: judged.first_divergence])


def test_an_error_that_shrinks_and_comes_back_matches():
    assert verdict([pair("a", 1e-6), pair("b", 1e-9), pair("c", 3e-6), pair("d", 1e-8)]) == ("match", None)


def test_full_against_half_precision_matches():
    assert verdict(run([3e-3, 6e-3, 9e-3], actual_dtype=BF16, digits=(24, 8))) == ("match", None)
    assert verdict(run([3e-3, 6e-3, 9e-3], actual_dtype=torch.float16, digits=(24, 11)))[0] == "match"


def test_what_was_rounded_coarsely_once_stays_so():
    """Half precision on the way, float32 at the end: logits."""
    pairs = [pair("a", 4e-3, dtype=BF16), pair("logits", 6e-3)]
    assert verdict(pairs) == ("match", None)
    assert verdict(pairs[1:]) == ("differ", "logits")


def test_what_was_computed_in_half_precision_and_widened_is_no_coarse_tensor():
    """The cache of autocast, logits in float32; not what only one of two half-precision runs rounded."""
    half = pair("a", 4e-3, actual_dtype=BF16, digits=(24, 8))
    widened = pair("logits", 6e-3, digits=(24, 8))
    assert verdict([half, widened]) == ("match", None)
    assert verdict([half, pair("logits", 6e-3, digits=(24, 6))]) == ("differ", "logits")
    assert verdict([half, pair("logits", 6e-3, digits=(8, 24))]) == ("differ", "logits")
    assert verdict([pair("a", 4e-3, dtype=BF16, digits=(8, 8)), widened]) == ("differ", "logits")
    assert verdict([widened, half]) == ("differ", "logits")


def test_layers_that_amplify_alike_match():
    sharp = [1e-7, 1e-7, 1e-7, 1e-7, 4e-7, 1e-7, 1e-7]
    assert verdict(run([[e * 3**layer for e in sharp] for layer in range(6)])) == ("match", None)


def test_one_element_that_is_rounded_the_other_way_is_no_lone_element():
    figures = {"mismatched": 1, "exponents": {-8: 1}, "peak": 2.0**-8, "dtype": BF16, "digits": (8, 8)}
    assert verdict([pair("a", 4e-5, **figures)]) == ("match", None)


def test_a_jump_is_the_first_divergence_and_the_rest_inherits_it():
    judgement = judge(run([1e-7, [1e-7, 1e-7, 1e-7, 1e-7, 3e-2, 1e-2, 4e-2]]))
    assert judgement.verdict == "differ"
    assert words(judgement) == ["ok"] * 11 + ["differs", "inherited", "inherited"]
    word = judgement.judged[11]
    assert word.evidence == "jump"
    assert word.error == 3e-2
    assert word.allowed == pytest.approx(20 * 2**-24)
    assert "relative error 0.03, 125,829.1 times what rounding leaves" in word.reason
    assert judgement.reason.startswith("1_post_attn is the first that differs: relative error 0.03")


def test_an_error_may_grow_fivefold_and_not_more():
    before = pair("a", 9e-5)
    assert verdict([pair("z", 1e-5), before])[0] == "differ"
    calm = [pair("y", 1e-6), pair("z", 4e-6), pair("x", 1.9e-5)]
    assert verdict([*calm, before])[0] == "match"
    assert verdict([*calm, before, pair("b", 4.4e-4)])[0] == "match"
    assert verdict([*calm, before, pair("b", 4.6e-4)]) == ("differ", "b")


def test_an_own_error_beyond_the_inherited_one_differs_again():
    pairs = [pair("a", 1e-7), pair("b", 1e-3), pair("c", 2e-3), pair("d", 0.9)]
    assert words(judge(pairs)) == ["ok", "differs", "inherited", "differs"]


def test_layers_tell_what_a_stage_may_add():
    """Three layers have shown that post_attn does not grow an error: threefold is a fault there."""
    layer = [0.010] * 7
    pairs = run([layer, layer, layer, [*layer[:4], 0.031, 0.03, 0.03]], dtype=BF16, digits=(8, 8))
    assert verdict(pairs) == ("differ", "3_post_attn")
    assert verdict(pairs[14:])[0] == "match", "with one layer before it nobody knows"


def test_layers_tell_what_may_come_after_them():
    half = {"dtype": BF16, "digits": (8, 8)}
    layers = run([[0.006] * 7] * 3, **half)
    assert verdict([*layers, pair("final_norm", 0.016, **half)]) == ("differ", "final_norm")
    assert verdict([*layers, pair("final_norm", 0.014, **half)])[0] == "match"
    assert verdict([*layers[7:], pair("final_norm", 0.016, **half)])[0] == "match"


@pytest.mark.parametrize("figures", [{"nan": 1}, {"inf": 3}])
def test_nan_is_never_right(figures):
    pairs = [pair("a", 1e-7), pair("b", 1e-7, **figures), pair("c", 1e-7, **figures), pair("d", 1e-7)]
    judgement = judge(pairs)
    assert words(judgement) == ["ok", "differs", "inherited", "healed"]
    assert judgement.judged[1].evidence == "born"


def test_nan_that_is_born_after_another_fault_differs_by_itself():
    pairs = [pair("a", 0.5), pair("b", 0.5), pair("c", 0.5, nan=2), pair("d", 0.5, nan=9)]
    assert words(judge(pairs)) == ["differs", "inherited", "differs", "inherited"]


def test_nan_on_both_sides_in_the_same_places_is_equal():
    assert (
        verdict([Measured(name="a", stage="a", layer=None, kind="outputs", measures=measures())])[0]
        == "match"
    )


def test_a_lone_element_is_seen_where_averages_hide_it():
    figures = {"dtype": BF16, "digits": (8, 8), "peak": 0.5, "exponents": {-2: 1, -6: 400, -7: 900, -8: 2000}}
    judgement = judge([pair("a", 6e-3, dtype=BF16, digits=(8, 8)), pair("b", 8e-3, **figures)])
    assert words(judgement) == ["ok", "differs"]
    assert judgement.judged[1].evidence == "isolated"
    assert "1 of 10,000 elements are far off" in judgement.judged[1].reason
    # Without a gap below, it is the end of a tail.
    tail = figures | {"exponents": {-2: 1, -3: 30, -4: 90, -5: 200, -6: 400}}
    assert verdict([pair("a", 6e-3, dtype=BF16), pair("b", 8e-3, **tail)])[0] == "match"


@pytest.mark.parametrize("figures", [{"scale": 0.93}, {"scale": 1.07}, {"shift": 0.07}, {"shift": -0.07}])
def test_what_is_off_in_one_direction_is_no_rounding(figures):
    half = {"dtype": BF16, "digits": (8, 8)}
    judgement = judge([pair("a", 0.02, **half), pair("b", 0.08, **half, **figures)])
    assert judgement.judged[1].evidence == "bias"
    assert "all numbers are" in judgement.judged[1].reason
    # So much the rounding of a constant that both share may do, and so much came before.
    small = {name: 1 + (value - 1) / 10 if name == "scale" else value / 10 for name, value in figures.items()}
    assert verdict([pair("a", 0.02, **half), pair("b", 0.08, **half, **small)])[0] == "match"
    assert verdict([pair("a", 0.02, **half, **small), pair("b", 0.08, **half, **small)])[0] == "match"
    assert verdict([pair("few", 0.02, elements=63, **half, **figures)])[0] == "match"


def test_numbers_lost_on_one_side_are_seen():
    figures = {"dtype": BF16, "digits": (8, 8)}
    judgement = judge([pair("a", 6e-3, **figures), pair("b", 0.02, lost=25, **figures)])
    assert judgement.judged[1].evidence == "lost"
    assert verdict([pair("b", 0.02, lost=2, **figures)])[0] == "match"


def test_numbers_coarser_than_their_dtype_are_seen():
    assert judge([pair("a", 0.02, dtype=BF16, digits=(8, 4))]).judged[0].evidence == "coarse"
    assert judge([pair("a", 0.02, dtype=BF16, digits=(4, 8))]).judged[0].evidence == "coarse"
    assert verdict([pair("a", 0.02, dtype=BF16, digits=(4, 4))])[0] == "match"
    assert verdict([pair("a", 0.02, actual_dtype=BF16, digits=(24, 8))])[0] == "match"
    assert verdict([pair("a", 0.02, dtype=BF16, digits=(8, None))])[0] == "match"


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8])
def test_what_knows_no_rounding_has_to_be_equal(dtype):
    judgement = judge([pair("ids", 1e-9, dtype=dtype, mismatched=1, max_abs=3.0, digits=(None, None))])
    assert judgement.judged[0].evidence == "exact"


def test_codes_of_rounded_numbers_may_flip_by_one():
    codes = {"dtype": torch.int8, "mismatched": 100, "max_abs": 1, "digits": (None, None)}
    activations = pair("a", 1e-3, dtype=BF16)
    assert verdict([activations, pair("codes", 1e-3, **codes)])[0] == "match"
    assert verdict([pair("codes", 1e-3, **codes)])[0] == "differ"
    assert verdict([activations, pair("codes", 1e-3, **codes | {"max_abs": 2})])[0] == "differ"


def test_a_pair_without_a_layout_differs():
    pairs = [
        pair("a"),
        Measured(name="b", stage="b", layer=None, kind="outputs", measures=None, reason="odd"),
    ]
    judgement = judge(pairs)
    assert verdict(pairs) == ("differ", "b")
    assert (judgement.judged[1].evidence, judgement.judged[1].reason) == ("shape", "odd")
    assert judgement.judged[1].error is None


def test_pairs_without_a_layout_do_not_explain_each_other():
    """Nor is a reason made up where none was given."""
    odd = Measured(name="odd", stage="odd", layer=None, kind="outputs", measures=None)
    judgement = judge([odd, dataclasses.replace(odd, name="too"), pair("a", 0.9), pair("b", 1e-7, nan=1)])
    assert words(judgement) == ["differs", "differs", "inherited", "inherited"]
    assert judgement.judged[0].reason == "no layout lays one over the other"
    assert judgement.reason == "odd is the first that differs: no layout lays one over the other"


def test_five_times_the_worst_is_inherited_and_more_is_not():
    assert words(judge([pair("a", 0.125), pair("b", 0.625)])) == ["differs", "inherited"]
    assert words(judge([pair("a", 0.125), pair("b", math.nextafter(0.625, 1))])) == ["differs", "differs"]


def test_what_is_right_says_how_right():
    same, near = judge([pair("a"), pair("b", 1e-7)]).judged
    assert same == Judged(status="ok", reason="equal", error=0.0, allowed=5 * 2.0**-22)
    assert near == Judged(status="ok", reason="relative error 1e-07", error=1e-7, allowed=5 * 2.0**-22)


def test_growth_in_a_layer_is_counted_from_what_rounding_leaves_before_it():
    """Half precision came first: an error of 0.009 in float32 is one and a half times its rounding."""
    first = pair("embedding", 1e-3, dtype=BF16, digits=(8, 8))
    errors = [0.009, 0.012, 0.016]
    pairs = [first, *(pair(f"{layer}_up", error) for layer, error in enumerate(errors))]
    assert verdict([*pairs, pair("3_up", 0.06)]) == ("match", None)
    assert verdict([*pairs, pair("3_up", 0.063)]) == ("differ", "3_up")


def test_only_layers_tell_what_a_stage_may_add():
    half = {"dtype": BF16, "digits": (8, 8)}
    pairs = [pair(f"t{index}", 0.01, stage="up", **half) for index in range(4)]
    assert verdict([*pairs, pair("t", 0.04, stage="up", **half)]) == ("match", None)


def test_integers_of_layers_are_compared_without_a_floor():
    assert verdict([pair(f"{layer}_ids", dtype=torch.int64) for layer in range(4)]) == ("match", None)
