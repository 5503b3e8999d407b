"""What is measured at the start: every figure is there, and all ranks have the same ones."""

import math

import pytest
import torch

from outgrow.shard.planner.calibrate import COLLECTIVES, calibrate, typical_costs
from outgrow.shard.planner.problem import Costs
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric


class _SecondRank(SimulatedFabric):
    """Has rank 1 alone as its lane; rank 0 says 1, 2, 3 and so on."""

    def __init__(self) -> None:
        super().__init__(2)
        self.lanes = (1,)

    def broadcast(self, pieces, source, shape, dtype):
        return [torch.arange(1, shape[0] + 1, dtype=dtype) for _ in pieces]


@pytest.mark.parametrize("world_size", [1, 2])
def test_every_figure_is_measured_and_the_threads_are_as_before(world_size):
    before = torch.get_num_threads()
    found = calibrate(SimulatedFabric(world_size), solo_threads=before)
    assert torch.get_num_threads() == before
    assert found.world_size == world_size
    assert set(found.latency_seconds) == set(found.bandwidth) == set(COLLECTIVES)
    rates = found.flops, found.narrow_flops, found.memory_bandwidth, found.op_seconds
    for figure in (*rates, *found.latency_seconds.values(), *found.bandwidth.values()):
        assert 0 < figure < math.inf
    assert found.solo_flops >= found.flops
    assert found.solo_narrow_flops >= found.narrow_flops
    assert found.solo_memory_bandwidth >= found.memory_bandwidth
    if world_size == 1:
        assert set(found.latency_seconds.values()) == {1e-6}


def test_a_rank_goes_by_what_the_first_one_measured():
    assert calibrate(_SecondRank(), solo_threads=torch.get_num_threads()) == Costs(
        world_size=2,
        latency_seconds=dict(zip(COLLECTIVES, (8.0, 10.0, 12.0, 14.0, 16.0), strict=True)),
        bandwidth=dict(zip(COLLECTIVES, (9.0, 11.0, 13.0, 15.0, 17.0), strict=True)),
        flops=1.0,
        narrow_flops=2.0,
        memory_bandwidth=3.0,
        solo_flops=4.0,
        solo_narrow_flops=5.0,
        solo_memory_bandwidth=6.0,
        op_seconds=7.0,
    )


def test_typical_figures_name_every_collective():
    found = typical_costs(4)
    assert found.world_size == 4
    assert set(found.latency_seconds) == set(found.bandwidth) == set(COLLECTIVES)
