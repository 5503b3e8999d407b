"""Weights, gradients and the states of optimizers are judged beside the chain of activations."""

import pytest
import torch

from outgrow.compare.judge import judge
from tests.compare.judge.pairs import pair, verdict, words

BF16 = torch.bfloat16


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
