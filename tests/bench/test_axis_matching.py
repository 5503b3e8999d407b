import pytest
import torch

from bench.cases.axis_matching import FAULT_NOISE, _outcome, _searched, _sizes
from bench.matching.grid import LAYOUTS
from bench.matching.numbers import FAULTS, KINDS, add_noise
from outgrow.compare.layout import Rearrange, StageLayout


def drawn(name, ranks, kind="gaussian"):
    generator = torch.Generator().manual_seed(3)
    held = LAYOUTS[name]
    return held, KINDS[kind](_sizes(held, ranks, 2**13, generator), generator), generator


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_of_the_grid_is_found(name):
    for ranks in LAYOUTS[name].ranks:
        held, x, generator = drawn(name, ranks)
        sample = _searched(held, x, add_noise(x, FAULT_NOISE, generator), ranks)
        assert sample["outcome"] == "right", sample


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_of_the_grid_leads_to_a_wrong_map(fault):
    for name in ("heads merged", "key against fused", "copies of shards"):
        held, x, generator = drawn(name, LAYOUTS[name].ranks[-1], "activations")
        wrong = FAULTS[fault](add_noise(x, FAULT_NOISE, generator), generator)
        assert not torch.equal(wrong.nan_to_num(), x)
        assert _searched(held, x, wrong, LAYOUTS[name].ranks[-1])["outcome"] != "wrong"


def test_wrong_map_is_counted_as_wrong():
    held, x, _ = drawn("weight transposed", 1)
    expected, (given,) = held.expected(x), held.actual(x, 1)
    plain = Rearrange(
        source=tuple(given.shape), atoms=tuple(given.shape), order=(0, 1), shape=tuple(expected.shape)
    )
    assert _outcome(StageLayout(layout=plain), expected, [given]) == "wrong"
    assert _outcome(StageLayout(layout=None), expected, [given]) == "refused"
