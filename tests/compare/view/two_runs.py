"""Two small runs and their comparison, for the tests of what the page shows."""

import torch

from outgrow.compare import compare


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def two_runs():
    """Nine pairs less one on each side: `1_query` only expected, `1_sliding` only actual; `2_key` transposed,
    `2_query` off by 1 everywhere."""
    stages = ("query", "key", "post_mlp")
    expected = {
        f"{layer}_{stage}": numbers(4, 6, seed=10 * layer + at)
        for layer in range(3)
        for at, stage in enumerate(stages)
    }
    actual = {name: value.clone() for name, value in expected.items() if name != "1_query"}
    actual["2_query"] += 1
    actual["2_key"] = expected["2_key"].t().contiguous()
    actual["1_sliding"] = torch.ones(2)
    return expected, actual


def made(expected=None, actual=None, **more):
    """An open comparison."""
    if expected is None:
        expected, actual = two_runs()
    return compare(expected=expected, actual=actual, **more)
