import math

import pytest
import torch

from outgrow.compare import compare
from outgrow.store import write_safetensors

HOSTILE = "<script>alert(1)</script>[red]&\"'"


@pytest.fixture
def dumps(tmp_path):
    """A function that writes two dumps and gives their paths."""

    def write(expected, actual):
        paths = {}
        for side, tensors in (("expected", expected), ("actual", actual)):
            paths[side] = tmp_path / f"{side}.safetensors"
            write_safetensors(paths[side], tensors)
        return paths

    return write


@pytest.fixture
def broken(dumps):
    """A comparison in which `2_value` goes wrong, `3_query` has NaN, and one tensor of each side is alone."""
    generator = torch.Generator().manual_seed(0)
    expected, actual = {}, {}
    names = [f"{layer}_{stage}" for layer in range(5) for stage in ("query", "value", "post_mlp")]
    for index, name in enumerate(names):
        noise = 0.3 if index >= names.index("2_value") else 1e-7
        expected[name] = torch.randn(6, 8, generator=generator)
        actual[name] = expected[name] * (1 + noise * torch.randn(6, 8, generator=generator))
    actual["3_query"][1, 2] = math.nan
    expected[HOSTILE] = torch.ones(3)
    actual["another one"] = torch.zeros(17)
    with compare(**dumps(expected, actual)) as comparison:
        yield comparison
