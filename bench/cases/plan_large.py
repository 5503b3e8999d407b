"""Plans for 7B, 13B and 70B from headers alone, with what this machine would take; planned, not run."""

__all__ = ["add_arguments", "run"]

import argparse
from pathlib import Path
from typing import Any

from bench import figures
from bench.harness import Bench
from bench.harness import add_arguments as add_common
from bench.models import SHAPES, make_checkpoint
from bench.plan_call import run_plan

FRACTIONS = (0.10, 0.25, 0.50)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    add_common(parser, rounds=1)
    parser.add_argument(
        "--shapes", nargs="+", choices=sorted(SHAPES), default=("llama7b", "llama13b", "llama70b")
    )
    parser.add_argument("--fractions", type=float, nargs="+", default=FRACTIONS, help="budgets / weights")


def run(options: argparse.Namespace) -> Path:
    """Plan every shape at every budget; scale the compute of the small model by bytes.

    The files have true headers and holes instead of weights. A disk probe on them would measure nothing, so
    the plan is told the rate of the small model's real files, and the floor here takes its measured compute.
    """
    bench = Bench("plan_large", options)
    disk = bench.probe().best
    resident = bench.measure("resident", round_number=0, limit_bytes=None, decode_tokens=16)
    compute = None if figures.failure(resident) else figures.token_seconds(resident)
    rows = []
    for name in ("toy",) if options.toy else options.shapes:
        shape, directory = SHAPES[name], make_checkpoint(name, sparse=True)
        for fraction in options.fractions:
            budget = round(shape.nbytes * fraction)
            streamed = figures.ideal_bytes_per_token(shape.nbytes, shape.embedding_bytes, budget)
            scaled = None if compute is None else compute * shape.nbytes / bench.weights_bytes
            plan: dict[str, Any] = (
                {"skipped": "toy"}
                if options.toy
                else run_plan(directory, budget, "--bandwidth", str(round(disk)), timeout_seconds=120)
            )
            bench.say(f"{name} {fraction:.0%}: {plan.get('error') or plan.get('seconds')}")
            rows.append(
                {
                    "shape": name,
                    "status": "planned, not run",
                    "weights_bytes": shape.nbytes,
                    "fraction": fraction,
                    "budget_bytes": budget,
                    "least_streamed_bytes_per_token": streamed,
                    "compute_seconds_scaled_by_bytes": scaled,
                    "floor_seconds_per_token": None
                    if scaled is None
                    else figures.floor_seconds(scaled, streamed, disk),
                    "plan": plan,
                }
            )
    return bench.finish(rows, show=("shape", "status", "fraction", "budget_bytes", "floor_seconds_per_token"))
