"""Plans of a step whose best one is known."""

import dataclasses
import os
import subprocess
import sys

import pytest

from outgrow.placement import Owned, Replicate, Shard
from outgrow.shard.planner.memory import MemoryLimitTooSmall
from outgrow.shard.planner.plan import make_plan
from tests.shard.planner.linear_step import S0, S1, R, costs, linear_step


def _plans(problem):
    return {plan.kind: plan for plan in make_plan(problem)}


def test_a_wide_layer_is_cut_along_its_features():
    problem = linear_step()
    plan = _plans(problem)["planned"]
    assert plan.inputs == (S1, S0, R)
    assert problem.rows[0][plan.rows[0]].inputs == (S1, S0)
    assert [move["bytes"] for move in plan.details["collectives"]] == [4 * 127 * 4]
    assert plan.state_bytes == 4 * (4 * 20_000 + 20_000 * 127 + 4 * 127)


def test_a_large_batch_of_a_narrow_layer_is_cut_along_the_batch():
    plans = _plans(linear_step(batch=400_000, features=64, outputs=1))
    assert "planned" not in plans, "what was found is data parallelism, and is called so"
    plan = plans["data parallel"]
    assert plan.inputs == (S0, R, S0)
    (move,) = plan.details["collectives"]
    assert move["collectives"] == ["all_reduce"]
    assert move["is_deferred"]


def test_the_found_plan_is_never_worse_than_the_others_that_use_all_ranks():
    for batch, features, outputs in (
        (4, 40_000, 128),
        (64, 64, 64),
        (4096, 512, 512),
        (2, 8, 30_000),
        (64, 64, 1),
    ):
        plans = make_plan(linear_step(batch, features, outputs))
        found = {plan.kind: plan.predicted_seconds for plan in plans}
        best = min(seconds for kind, seconds in found.items() if kind != "solo")
        assert found.get("planned", best) <= best * (1 + 1e-9)
        assert list(found.values()) == sorted(found.values())


def test_one_rank_does_a_small_step_alone():
    plans = make_plan(linear_step(4, 64, 1))
    assert plans[0].kind == "solo"
    assert plans[0].inputs == (Owned(0),) * 3
    assert plans[0].rows == ()


def test_one_rank_does_not_where_it_may_not():
    problem = linear_step(4, 64, 1)
    assert "solo" not in _plans(dataclasses.replace(problem, is_solo_allowed=False))
    assert "solo" not in _plans(dataclasses.replace(problem, pinned={1: S0}))
    assert "solo" not in _plans(dataclasses.replace(problem, memory_bytes=4 * (4 * 64 + 64)))


def test_a_memory_limit_cuts_what_would_else_be_whole():
    free = linear_step(batch=400_000, features=64, outputs=1)
    held = _plans(free)["data parallel"].state_bytes
    limit = held - 64 * 4 // 2
    plans = make_plan(dataclasses.replace(free, memory_bytes=limit))
    assert all(plan.rest_bytes <= limit for plan in plans)
    assert plans[0].inputs[1] == S0


def test_the_least_limit_is_named_and_works():
    problem = linear_step()
    with pytest.raises(MemoryLimitTooSmall, match="GT_WORKER_MEMORY") as caught:
        make_plan(dataclasses.replace(problem, memory_bytes=1000))
    least = caught.value.least_bytes
    assert make_plan(dataclasses.replace(problem, memory_bytes=least))[0].rest_bytes == least
    with pytest.raises(MemoryLimitTooSmall):
        make_plan(dataclasses.replace(problem, memory_bytes=least - 1))


def test_what_is_pinned_stays():
    problem = linear_step()
    for placement in (Replicate(), Shard(0)):
        for plan in make_plan(dataclasses.replace(problem, pinned={1: placement})):
            assert plan.inputs[1] == placement
            assert plan.outputs[4] == placement


def test_a_step_finds_its_state_where_the_last_one_left_it():
    for plan in make_plan(linear_step()):
        assert plan.outputs[4] == plan.inputs[1]


def test_the_same_problem_has_the_same_answer():
    assert make_plan(linear_step()) == make_plan(linear_step())


def test_fast_links_make_solo_lose():
    fast = dict.fromkeys(costs().latency_seconds, 1e-6)
    problem = linear_step(
        64, 4096, 4096, costs=costs(latency_seconds=fast, bandwidth=dict.fromkeys(fast, 1e12))
    )
    assert make_plan(problem)[0].kind == "planned"


def test_one_small_gradient_pays_for_a_whole_message():
    problem = linear_step(batch=40_000, features=64, outputs=1, is_solo_allowed=False)
    found = make_plan(problem)
    shared = [plan for plan in found if plan.details["exchanged"]["times"]]
    # A message of 256 bytes costs its latency, though a bucket's share of it would be next to nothing.
    assert all(plan.predicted_seconds > 8e-4 for plan in shared)
    assert found[0].predicted_seconds <= min(plan.predicted_seconds for plan in found)


@pytest.mark.slow
def test_plans_do_not_depend_on_the_hash_seed():
    code = (
        "import json, hashlib; from bench.planning_capture import capture;"
        "from bench.planning_models import SMALL;"
        "from outgrow.shard.planner.plan import make_plan, plan_to_json;"
        "problem = capture(SMALL['llama'], 'adam', 4).problem;"
        "text = json.dumps([plan_to_json(plan, problem.rows) for plan in make_plan(problem)]);"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    told = set()
    for seed in ("0", "1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code]
        told.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(told) == 1


def test_a_layer_that_can_be_cut_along_its_outputs_exchanges_nothing():
    plan = make_plan(linear_step(outputs=128))[0]
    assert plan.inputs == (R, S1, S1)
    assert plan.details["exchanged"] == {"times": 0, "bytes": 0}
