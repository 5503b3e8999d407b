"""Comparisons of small runs in memory."""

import contextlib

import torch

from outgrow.compare import compare


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small_runs():
    """Three layers: one tensor without its partner on each side, one that differs, and all after it right."""
    names = [f"{layer}_{stage}" for layer in range(3) for stage in ("query", "key", "post_mlp")]
    expected = {name: numbers(4, 6, seed=place) for place, name in enumerate(names)}
    actual = {name: tensor.clone() for name, tensor in expected.items()}
    del actual["1_query"]
    actual["1_sliding"] = numbers(2)
    actual["2_query"][1, 2] += 1.0
    return expected, actual


@contextlib.contextmanager
def made(expected=None, actual=None, **options):
    if expected is None:
        expected, actual = small_runs()
    with compare(expected=expected, actual=actual, **options) as comparison:
        yield comparison
