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


def test_what_differs_is_counted_over_all_pieces():
    """More numbers than are looked at in one go."""
    first = torch.zeros(1 << 19)
    second, third = first.clone(), first.clone()
    second[[3, 300_000, 500_000]] = torch.tensor([0.25, -0.5, 0.125])
    third[400_000] = 0.375
    found = look(first, first.clone(), second, third)
    assert (found.differing, found.elements, found.largest, found.worst) == ((2, 3), 3, 0.5, 2)
    assert found.describe() == (
        "ranks 2, 3 differ from rank 0 in up to 3 elements, by up to 0.5; "
        "measured is rank 2, the farthest from expected"
    )
    near, far = first.clone(), first.clone()
    near[-1], far[0] = 0.25, 0.5
    assert (look(first, near, far).worst, look(first, far, near).worst) == (2, 1)
    assert look(first, third).describe() == (
        "rank 1 differs from rank 0 in up to 1 elements, by up to 0.375; "
        "measured is rank 1, the farthest from expected"
    )


def test_distances_are_those_between_the_ranks():
    found = look(torch.tensor([2.0, -3.0]), torch.tensor([2.25, -3.0]), expected=torch.tensor([9.0, 9.0]))
    assert (found.elements, found.largest, found.worst) == (1, 0.25, 0)
    found = look(torch.tensor([2.0 + 3.0j]), torch.tensor([2.0 - 1.0j]))
    assert (found.largest, found.worst) == (4.0, 1)
    half = torch.tensor([2.0, 4.0], dtype=torch.bfloat16)
    assert look(half, half.float()) is None
    assert look(half, torch.tensor([2.0, 4.0078125])).largest == 0.0078125
    found = look(torch.ones(2), torch.tensor([1.0, math.inf]), torch.tensor([1.0, 5.0]))
    assert (found.largest, found.worst) == (math.inf, 1)
