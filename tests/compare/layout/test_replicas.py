"""Ranks that should hold the same: every difference is seen, and the farthest rank is measured."""

import math

import pytest
import torch

from outgrow.compare import compare
from outgrow.compare.layout.layout import Identity
from outgrow.compare.layout.replicas import look_at_replicas


def look(*tensors, expected=None):
    return look_at_replicas(tensors, tensors[0] if expected is None else expected, Identity())


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.bfloat16, torch.float8_e5m2, torch.complex64, torch.int64, torch.uint8, torch.bool],
)
def test_equal_ranks_are_nothing_to_say(dtype):
    tensor = torch.tensor([0.0, 1.0, 2.0]).to(dtype)
    assert look(tensor, tensor.clone(), tensor.clone()) is None


def test_nan_in_the_same_place_is_equal_and_against_a_number_is_not():
    tensor = torch.tensor([1.0, math.nan])
    assert look(tensor, tensor.clone()) is None
    found = look(torch.ones(2), torch.ones(2), tensor)
    assert (found.differing, found.elements, found.largest, found.worst) == ((2,), 1, math.inf, 2)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint64])
def test_integers_that_float64_does_not_hold_differ(dtype):
    one = torch.tensor([2**53, 2**53 + 2], dtype=torch.int64).view(dtype)
    other = torch.tensor([2**53 + 1, 2**53 + 2], dtype=torch.int64).view(dtype)
    found = look(one, other)
    assert (found.differing, found.elements, found.worst) == ((1,), 1, 1)


def test_one_rank_with_another_large_integer_does_not_match():
    expected = {f"{layer}_post_mlp": torch.arange(64) + 2**53 for layer in range(4)}
    astray = {name: value + (torch.arange(64) == 5) for name, value in expected.items()}
    with compare(expected=expected, actual=[expected, astray]) as comparison:
        assert comparison.verdict == "differ"
