"""What the judge allows a tensor is what its numbers are held against."""

import pytest
import torch

from outgrow.compare.view.looking import tolerance_of
from outgrow.compare.view.tolerance import judged_tolerance
from tests.compare.view.made import made, numbers


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_noise_is_allowed_and_what_is_planted_is_not(dtype):
    exact = {f"{layer}_query": numbers(200, 300, seed=layer).double() for layer in range(4)}
    expected = {name: tensor.to(dtype) for name, tensor in exact.items()}
    # As another order of sums leaves it: each number is off by less than a unit in its last place.
    noise = torch.finfo(dtype).eps / 4
    actual = {
        name: (tensor * (1 + noise * numbers(200, 300, seed=9 + layer).double())).to(dtype)
        for layer, (name, tensor) in enumerate(exact.items())
    }
    actual["3_query"][7, 5] += 3.0
    with made(expected, actual) as comparison:
        for finding in comparison.findings:
            rtol, atol = judged_tolerance(finding)
            name = finding.pair.expected_name
            one, other = actual[name].double(), expected[name].double()
            beyond = ((one - other).abs() > atol + rtol * other.abs()).nonzero().tolist()
            assert beyond == ([[7, 5]] if name == "3_query" else [])
            assert (one != other).sum() > 1000
        assert tolerance_of(comparison, 0) == judged_tolerance(comparison.findings[0])


def test_nothing_is_allowed_between_integers_nor_where_equality_was_asked_for():
    whole = {"0_query": torch.arange(100).view(10, 10)}
    with made(whole, whole) as comparison:
        assert judged_tolerance(comparison.findings[0]) == (0.0, 0.0)
    with made({"0_query": numbers(10)}, {"0_query": numbers(10)}, is_exact=True) as comparison:
        assert judged_tolerance(comparison.findings[0]) == (0.0, 0.0)
