import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.judge import Judged, Measured, Rules, judge
from outgrow.compare.measures import measure
from outgrow.errors import InputError
from tests.compare.judge.pairs import U, measures, pair, run, words

BF16 = torch.bfloat16


def verdict(pairs, **options):
    judgement = judge(pairs, **options)
    first = judgement.first_divergence
    return judgement.verdict, None if first is None else pairs[first].name


# Clean runs ----------------------------------------------------------------------


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


# Faults ----------------------------------------------------------------------


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


# Other kinds ----------------------------------------------------------------------


def test_parameters_are_judged_beside_the_chain():
    pairs = [pair("w", 0.3, kind="parameters"), pair("a", 1e-7), pair("b", 0.3)]
    assert words(judge(pairs)) == ["differs", "ok", "inherited"]
    rounded = pair("w", 2e-3, kind="parameters", actual_dtype=BF16, digits=(24, 8))
    assert verdict([rounded, pair("a", 1e-7)]) == ("match", None)
    assert verdict([pair("a", 1e-3, dtype=BF16), pair("w", 1e-3, kind="parameters")]) == ("differ", "w")


def test_a_weight_in_half_precision_excuses_none_in_float32():
    half = pair("w", 4e-3, kind="parameters", dtype=BF16, digits=(8, 8))
    full = pair("v", 1e-2, kind="parameters")
    assert verdict([half]) == ("match", None)
    assert verdict([half, full]) == ("differ", "v")
    assert verdict([full, half]) == ("differ", "v")


@pytest.mark.parametrize("kind", ["gradients", "parameters"])
def test_nothing_healed_where_gradients_or_weights_are_wrong_after_it(kind):
    pairs = [pair("a", 1e-7), pair("b", 0.3), pair("c", 1e-7), pair("d", 1e-7)]
    assert words(judge(pairs)) == ["ok", "differs", "healed", "healed"]
    judged = judge([*pairs, pair("w", 0.9, kind=kind)])
    assert words(judged)[:4] == ["ok", "differs", "ok", "ok"]
    assert words(judged)[4] in ("differs", "inherited")
    assert judged.healed_at is None


def test_the_state_of_an_optimizer_is_judged_as_weights_are():
    pairs = [pair("m", 0.3, kind="optimizer"), pair("a", 1e-7), pair("b", 0.3)]
    assert words(judge(pairs)) == ["differs", "ok", "inherited"]
    half = pair("m", 4e-3, kind="optimizer", dtype=BF16, digits=(8, 8))
    assert verdict([half, pair("v", 1e-2, kind="optimizer")]) == ("differ", "v")


def test_activations_of_the_next_step_owe_nothing_to_gradients():
    half = {"dtype": BF16, "digits": (8, 8)}
    pairs = [pair("a", 1e-7), pair("g", 6e-3, kind="gradients", **half), pair("b", 1e-3)]
    assert verdict(pairs) == ("differ", "b")
    assert verdict([*pairs[:2], pair("w", 1e-3, kind="parameters")]) == ("match", None)


def test_gradients_begin_where_the_activations_end():
    pairs = [pair("a", 1e-4, dtype=BF16), pair("g", 4e-3, kind="gradients")]
    assert verdict(pairs)[0] == "match"
    assert verdict([*pairs, pair("h", 0.9, kind="gradients")]) == ("differ", "h")
    assert verdict([*pairs, pair("w", 2e-3, kind="parameters")])[0] == "match", "a step has been taken"


# Enough to say ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pairs", "expected", "actual", "wanted"),
    [
        (0, 3, 3, "insufficient"), (0, 0, 0, "insufficient"), (1, 1, 1, "match"), (1, 2, 2, "match"),
        (1, 3, 3, "insufficient"), (1, 3, 2, "match"), (4, 9, 100, "insufficient"), (5, 9, 100, "match"),
    ],
)  # fmt: skip
def test_fewer_pairs_than_half_of_the_smaller_side_are_too_few(pairs, expected, actual, wanted):
    rows = [pair(f"{index}_x") for index in range(pairs)]
    assert judge(rows, expected_records=expected, actual_records=actual).verdict == wanted


@pytest.mark.parametrize(
    ("pairs", "said"), [(0, "nothing could"), (1, "1 pair is too few"), (2, "2 pairs are too few")]
)
def test_it_says_how_few_pairs_there_are(pairs, said):
    rows = [pair(f"{index}_x") for index in range(pairs)]
    assert judge(rows, expected_records=9, actual_records=9).reason.startswith(said)


def test_too_few_pairs_still_show_where_they_differ():
    judgement = judge([pair("a", 0.5)], expected_records=9, actual_records=9)
    assert (judgement.verdict, judgement.first_divergence) == ("insufficient", 0)
    assert judgement.reason.startswith("too few pairs to say, but a is the first that differs")


# Tolerances ----------------------------------------------------------------------


def test_tolerances_replace_the_jump_rule():
    wild = pair("a", 0.9, outside=0)
    tame = pair("b", 1e-9, outside=1)
    assert verdict([wild], rules=Rules(rtol=1.0)) == ("match", None)
    judgement = judge([tame], rules=Rules(rtol=1e-9))
    assert (judgement.verdict, judgement.judged[0].evidence) == ("differ", "tolerance")
    named = Rules(patterns=(("b", 0.25, 0.5), ("*", 1.0, 1.0)))
    assert judge([tame], rules=named).judged[0].reason == (
        "1 of 10,000 elements are beyond 0.5 + 0.25 * |expected|, the worst is off by 4.5e-09"
    )


def test_nan_is_outside_every_tolerance():
    nan = measure(torch.tensor([1.0, math.nan]), torch.tensor([1.0, 2.0]), rtol=1e9, atol=1e9)
    row = Measured(name="a", stage="a", layer=None, kind="outputs", measures=nan)
    assert judge([row], rules=Rules(rtol=1e9, atol=1e9)).verdict == "differ"


def test_exact_asks_for_every_bit_and_the_dtype():
    assert verdict([pair("a")], exact=True) == ("match", None)
    assert verdict([pair("a", 1e-12)], exact=True) == ("differ", "a")
    judgement = judge([pair("a", actual_dtype=BF16)], exact=True)
    assert judgement.judged[0].reason == "torch.bfloat16 instead of torch.float32"


def test_the_first_pattern_that_fits_decides():
    rules = Rules(rtol=1e-5, atol=1e-6, patterns=(("*.3.*", 1e-2, 0.0), ("*", 0.5, 0.5)))
    assert rules.tolerance("layers.3.mlp") == (1e-2, 0.0)
    assert rules.tolerance("layers.4.mlp") == (0.5, 0.5)
    assert Rules(rtol=1e-5).tolerance("x") == (1e-5, 0.0)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_a_tolerance_is_a_number_that_is_0_or_more(bad):
    with pytest.raises(InputError, match=rf"^rtol for '\*' is {bad}\b") as caught:
        Rules(rtol=bad)
    assert caught.value.hint == "a tolerance is a number that is 0 or more and not infinite."
    with pytest.raises(InputError, match=r"^atol for 'x\.\*' is"):
        Rules(patterns=(("x.*", 0.0, bad),))
    assert Rules(rtol=0.0, atol=0.0) == Rules()


# Properties ----------------------------------------------------------------------

ERRORS = st.lists(st.sampled_from([0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-3, 0.1, 1.0]), min_size=1, max_size=30)


@given(ERRORS)
def test_every_word_agrees_with_the_verdict(errors):
    judgement = judge([pair(str(index), error) for index, error in enumerate(errors)])
    wrong = [index for index, word in enumerate(judgement.judged) if word.status in ("differs", "inherited")]
    assert judgement.first_divergence == (wrong[0] if wrong else None)
    assert (judgement.verdict == "differ") == bool(wrong)
    assert judgement.judged[wrong[0]].status == "differs" if wrong else judgement.healed_at is None
    for index, word in enumerate(judgement.judged):
        is_healed = judgement.healed_at is not None and index >= judgement.healed_at
        assert (word.status == "healed") == is_healed
        assert (word.evidence is not None) == (word.status in ("differs", "inherited"))


@given(ERRORS, st.integers(0, 30))
def test_equal_pairs_change_nothing(errors, place):
    pairs = [pair(f"p{index}", error) for index, error in enumerate(errors)]
    place = min(place, len(pairs))
    more = [*pairs[:place], pair("equal"), *pairs[place:]]
    one, other = judge(pairs), judge(more)
    assert one.verdict == other.verdict
    kept = [word for index, word in enumerate(other.judged) if index != place]
    bad = [word.status in ("differs", "inherited") for word in one.judged]
    assert bad == [word.status in ("differs", "inherited") for word in kept]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fault", [0.0, 1e-3, 0.02, 0.5])
def test_powers_of_two_and_the_order_of_elements_change_nothing(dtype, fault):
    generator = torch.Generator().manual_seed(3)
    tensors = [torch.randn(64, 96, generator=generator) for _ in range(4)]
    order = torch.randperm(64 * 96, generator=generator)

    def told(change):
        rows = []
        for index, tensor in enumerate(tensors):
            noise = torch.randn(64, 96, generator=torch.Generator().manual_seed(index))
            off = torch.finfo(dtype).eps / 4 + (fault if index == 2 else 0.0)
            expected, actual = (change(side.to(dtype)) for side in (tensor, tensor * (1 + off * noise)))
            rows.append(
                Measured(
                    name=str(index), stage="x", layer=None, kind="outputs", measures=measure(actual, expected)
                )
            )
        judgement = judge(rows)
        return judgement.verdict, words(judgement)

    plain = told(lambda tensor: tensor)
    assert plain == told(lambda tensor: tensor * 2.0**9) == told(lambda tensor: tensor * 2.0**-9)
    assert plain == told(lambda tensor: tensor.flatten()[order].reshape(64, 96))
    assert plain[0] == (
        "differ"
        if fault > (0.01 if dtype == torch.float32 else 0.1) or (fault and dtype == torch.float32)
        else "match"
    )


def test_values_are_frozen():
    judgement = judge([pair("a")])
    with pytest.raises(dataclasses.FrozenInstanceError):
        judgement.verdict = "differ"
