"""Under autocast a streamed model computes the same bits, and no cast copy of a weight is kept."""

import copy

import pytest
import torch
from torch import nn

from outgrow.stream.attachment import stream_of
from tests.stream.streaming import anonymous_bytes, assert_same, streamed

WIDTH = 1024


@pytest.fixture(params=["whole", "tiles"])
def pair(request, tmp_path):
    """Layers that come whole, and layers that come in tiles; 4 MiB each."""
    is_whole = request.param == "whole"
    layers = [nn.Conv1d(WIDTH, WIDTH, 1) if is_whole else nn.Linear(WIDTH, WIDTH) for _ in range(4)]
    resident = nn.Sequential(*layers)
    model = streamed(copy.deepcopy(resident), tmp_path, 9_000_000 if is_whole else 3_000_000)
    most = max(len(pieces) for pieces in stream_of(model).plan.pieces_of.values())
    assert (most == 1) == is_whole
    shape = (2, WIDTH, 1) if is_whole else (2, WIDTH)
    return resident, model, torch.randn(shape, generator=torch.Generator().manual_seed(1))


def test_no_cast_copy_is_kept(pair):
    resident, model, x = pair
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            model(x)
        with torch.autocast("cpu", torch.bfloat16):
            before = anonymous_bytes()
            results = [model(x) for _ in range(4)]
            # All layers together take 8 MiB in bfloat16, once or with every pass.
            assert anonymous_bytes() - before < 5_000_000
            assert_same(results, [resident(x)] * 4)
        assert torch.is_autocast_cache_enabled()


def test_gradients_of_inputs(pair):
    resident, model, x = pair
    resident.requires_grad_(False)
    gradients = []
    for module in (resident, model):
        inputs = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            module(inputs).float().square().sum().backward()
        gradients.append(inputs.grad)
    assert_same(*gradients)
