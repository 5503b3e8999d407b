"""Whatever is planned computes what one device computes."""

import dataclasses

import pytest
import torch

from bench.planning_capture import capture
from bench.planning_models import SMALL
from outgrow.placement import Shard
from outgrow.shard.planner.plan import make_plan
from tests.shard.planner.interpreter import run_plan


def _check(case, optimizer, world_size):
    captured = capture(SMALL[case], optimizer, world_size, dtype=torch.float64)
    # Links that cost nothing, so that more than one rank is used though the models are small.
    problem = captured.problem
    free = dataclasses.replace(
        problem.costs,
        latency_seconds=dict.fromkeys(problem.costs.latency_seconds, 1e-9),
        bandwidth=dict.fromkeys(problem.costs.bandwidth, 1e12),
        op_seconds=1e-9,
        flops=1e6,
        memory_bandwidth=1e6,
    )
    problem = dataclasses.replace(problem, costs=free)
    plans = [plan for plan in make_plan(problem) if plan.kind != "solo"]
    assert any(isinstance(placement, Shard) for plan in plans for placement in plan.inputs)
    for plan in plans:
        found = run_plan(captured._replace(problem=problem), plan)
        for local, expected in captured.outputs.items():
            # Sums in another order: float32, a few hundred terms, one step.
            torch.testing.assert_close(
                found[local],
                expected,
                rtol=1e-9,
                atol=1e-9,
                msg=lambda text, plan=plan: f"{plan.kind}: {text}",
            )


@pytest.mark.parametrize(
    ("case", "optimizer", "world_size"),
    [("pixel", "sgd", 2), ("mlp", "adam", 4), ("gpt", "sgd", 2), ("cnn", "momentum", 2)],
    ids=lambda value: str(value),
)
def test_plans_compute_what_one_device_does(case, optimizer, world_size):
    _check(case, optimizer, world_size)


@pytest.mark.slow
@pytest.mark.parametrize("world_size", [2, 4, 8])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("case", SMALL)
def test_plans_of_all_models_compute_what_one_device_does(case, optimizer, world_size):
    _check(case, optimizer, world_size)
