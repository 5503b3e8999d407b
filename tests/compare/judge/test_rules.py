"""How many pairs are enough to say something, and what tolerances and exactness ask for."""

import math

import pytest
import torch

from outgrow.compare.judge import Measured, Rules, judge
from outgrow.compare.measures import measure
from outgrow.errors import InputError
from tests.compare.judge.pairs import pair, verdict

BF16 = torch.bfloat16


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
