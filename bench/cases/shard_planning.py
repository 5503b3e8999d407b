"""How long does the planner take, how near the best plan is what it finds, and how well does it know the
machine?"""

__all__ = ["add_arguments", "run"]

import argparse
import dataclasses
import datetime
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import machine
from bench.figures import spread
from bench.harness import FORMAT, RESULTS, write_result
from bench.planning_capture import OPTIMIZERS, capture
from bench.planning_models import LARGE, SMALL
from outgrow.shard.planner.graph import Graph
from outgrow.shard.planner.plan import make_plan
from outgrow.shard.planner.problem import Costs, Problem
from outgrow.shard.planner.search import Search

_ROOT = Path(__file__).resolve().parents[2]
_WRONG = ("latency_seconds", "bandwidth", "flops", "memory_bandwidth", "op_seconds")
MEASURED = ("mlp", "pixel", "cnn_large_head", "vocabulary_32k", "gpt_d512")
"""Models whose plans are also run on two local workers."""

SAID = ("model", "optimizer", "world_size", "steps", "search_seconds", "over_peer", "is_exact", "candidates")
"""Of a sample, while it goes on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="two tiny models, one round")
    parser.add_argument("--rounds", type=int, default=3, help="how often each step is planned")
    parser.add_argument("--models", nargs="+", choices=sorted(LARGE), default=list(LARGE))
    parser.add_argument("--optimizers", nargs="+", choices=sorted(OPTIMIZERS), default=["sgd", "adam"])
    parser.add_argument("--worlds", nargs="+", type=int, default=[2, 4, 8])
    parser.add_argument("--peer-seconds", type=float, default=60.0, help="what HiGHS may take for a problem")
    parser.add_argument("--measure", action="store_true", help="also run candidates on two local workers")
    parser.add_argument("--steps", type=int, default=60, help="of each of those runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", default="shard_planning", help="name of the result")


def run(options: argparse.Namespace) -> Path:
    """Plan every step, let the integer program do so, plan with wrong costs; write the result."""
    models = {name: LARGE[name] for name in options.models}
    worlds, rounds, optimizers = options.worlds, options.rounds, options.optimizers
    if options.toy:
        models = {"mlp": SMALL["mlp"], "gpt": SMALL["gpt"]}
        worlds, rounds, optimizers = [2], 1, ["sgd"]
    samples: list[dict[str, Any]] = []
    for name, case in models.items():
        for optimizer in optimizers:
            problem = capture(case, optimizer, worlds[0]).problem
            for world in worlds:
                found = _sample(_for_world(problem, world), rounds, options.peer_seconds)
                samples.append({"model": name, "optimizer": optimizer, "world_size": world, **found})
                _say(
                    {key: value for key, value in samples[-1].items() if key not in ("candidates", "seconds")}
                )
    record = {
        "format": FORMAT,
        "case": "shard_planning",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "summary": _summary(samples),
        "measured": [] if options.toy or not options.measure else _measured(options),
        "samples": samples,
    }
    path = write_result(record, options.results, options.name)
    _say(f"written {path}")
    return path


def _say(told: Any) -> None:
    print(f"[shard_planning] {told}", file=sys.stderr, flush=True)


def _for_world(problem: Problem, world_size: int) -> Problem:
    from outgrow.shard.planner.calibrate import typical_costs
    from outgrow.shard.rules import rows

    known = [rows(template, world_size) for template in problem.segment.templates]
    return dataclasses.replace(
        problem,
        rows=tuple(known[step.template] for step in problem.segment.steps),
        costs=typical_costs(world_size),
    )


def _sample(problem: Problem, rounds: int, peer_seconds: float) -> dict[str, Any]:
    from bench.planning_peer import solve_exactly  # needs scipy

    seconds = []
    for _ in range(rounds):
        # Of the processor, one core: other work on the machine says nothing about the planner.
        began = time.process_time()
        plans = make_plan(problem)
        seconds.append(time.process_time() - began)
    graph = Graph(problem)
    began = time.process_time()
    found = Search(graph).solve()
    search_seconds = time.process_time() - began
    began = time.process_time()
    best, bound = solve_exactly(graph, seconds=peer_seconds)
    return {
        "steps": len(problem.segment.steps),
        "rows": sum(map(len, problem.rows)),
        "seconds": seconds,
        "plan_seconds": spread(seconds),
        "search_seconds": search_seconds,
        "is_exact": found.is_exact,
        "predicted_seconds": found.seconds,
        "peer_predicted_seconds": None if best is None else graph.seconds(best),
        "peer_bound_seconds": bound,
        "peer_seconds": time.process_time() - began,
        "over_peer": None if best is None else found.seconds / graph.seconds(best),
        "wrong_costs": _wrong_costs(problem, graph, found.seconds),
        "candidates": {plan.kind: plan.predicted_seconds for plan in plans},
    }


def _wrong_costs(problem: Problem, graph: Graph, right: float) -> dict[str, float]:
    """How much longer a step takes if a figure was measured twice as high or half as high as it is."""
    found = {}
    for name in _WRONG:
        for factor in (0.5, 2.0):
            other = dataclasses.replace(problem, costs=_changed(problem.costs, name, factor))
            choices = Search(Graph(other)).solve().choices
            found[f"{name} x {factor}"] = graph.seconds(choices) / right
    return found


def _changed(costs: Costs, name: str, factor: float) -> Costs:
    value = getattr(costs, name)
    changed = (
        value * factor if isinstance(value, float) else {key: one * factor for key, one in value.items()}
    )
    return dataclasses.replace(costs, **{name: changed})


def _summary(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    ratios = [sample["over_peer"] for sample in samples if sample["over_peer"] is not None]
    wrong = [ratio for sample in samples for ratio in sample["wrong_costs"].values()]
    slowest = max(samples, key=lambda sample: sample["plan_seconds"]["median"])
    return {
        "steps_planned": len(samples),
        "worst_over_peer": max(ratios, default=None),
        "median_over_peer": statistics.median(ratios) if ratios else None,
        "peer_found_nothing_in_time": sum(sample["over_peer"] is None for sample in samples),
        "slowest_plan_seconds": slowest["plan_seconds"]["median"],
        "slowest_plan": f"{slowest['model']}, {slowest['optimizer']}, {slowest['world_size']} workers",
        "slowest_below_1000_steps": max(
            (sample["plan_seconds"]["median"] for sample in samples if sample["steps"] <= 1000), default=None
        ),
        "worst_with_wrong_costs": max(wrong),
        "median_with_wrong_costs": statistics.median(wrong),
    }


def _measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What candidates were predicted to take by figures measured at the start, and took."""
    found = []
    for name in MEASURED:
        if name not in options.models:
            continue
        for optimizer in options.optimizers:
            command = [sys.executable, "-m", "bench.planning_run", name, optimizer, str(options.steps)]
            environment = {**os.environ, "GT_WORKERS": "2"}
            ended = subprocess.run(
                command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False
            )
            told = {"error": ended.stderr[-2000:]}
            if not ended.returncode:
                told = json.loads(ended.stdout.splitlines()[-1])
            found.append({"model": name, "optimizer": optimizer, **told})
            _say(found[-1])
    return found
