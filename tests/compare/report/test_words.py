"""The one sentence, and figures as people read them."""

import math

import pytest
import torch

from outgrow.compare import compare
from outgrow.compare.report import as_text, error_text, sentence


@pytest.mark.parametrize(
    ("error", "text"),
    [(None, "-"), (0.0, "0"), (math.inf, "inf"), (3.14159e-7, "3.1e-07"), (math.nan, "-"), (12.0, "1.2e+01")],
)
def test_errors_as_text(error, text):
    assert error_text(error) == text


def test_a_difference_is_named_with_its_reason(broken):
    assert sentence(broken).startswith("They differ: '2_value' is the first tensor that went wrong (")


def test_too_few_pairs(dumps):
    expected = {f"a{index}": torch.ones(3) for index in range(4)}
    with compare(**dumps(expected, {f"zz{index}": torch.ones(5, 2) for index in range(4)})) as comparison:
        assert comparison.verdict == "insufficient"
        assert sentence(comparison).startswith("Too little to say: ")


def test_text_shows_the_rows_around_the_first_that_differs(broken):
    lines = as_text(broken).splitlines()
    (marked,) = (line for line in lines if line.startswith(">"))
    assert "2_value" in marked
    assert any("only in the actual run: another one" in line for line in lines)


def test_a_match_tells_of_nan_on_both_sides():
    tensors = {f"{layer}_query": torch.ones(3, 4) for layer in range(4)}
    tensors["2_query"][1, 1] = math.nan
    with compare(expected=tensors, actual=tensors) as comparison:
        assert sentence(comparison) == "They match: 4 pairs, all numbers equal; both have NaN in 1 pair."
