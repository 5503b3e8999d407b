"""What counts as an explanation."""

import math

import pytest
import torch

from outgrow.compare import compare
from outgrow.compare.diagnosis.context import explains


@pytest.mark.parametrize(
    ("left", "error", "wanted"),
    [
        (0.0, 1.0, True),
        (0.0, math.inf, True),
        (0.01, 1.0, True),
        (0.1, 1.0, False),
        (1.0, 1.0, False),
        (math.inf, math.inf, False),
    ],
)
def test_an_explanation_leaves_little(left, error, wanted):
    assert explains(left, error, allowed=1e-6) is wanted


def test_zeros_are_neither_transposed_nor_those_of_another_layer():
    expected = {f"{layer}_query": torch.zeros(8, 8) for layer in range(4)}
    with compare(
        expected=expected, actual={name: zeros + 1e-9 for name, zeros in expected.items()}
    ) as comparison:
        assert comparison.verdict == "differ"
        assert comparison.diagnoses == ()
