"""What does opening read (no weights beyond the resident set), and how long does a plan take?"""

__all__ = ["add_arguments", "run"]

import argparse
from pathlib import Path
from typing import Any

from bench import figures
from bench.harness import Bench
from bench.harness import add_arguments as add_common
from bench.plan_call import run_plan

# With the command's own disk probe, which takes a fraction of a second, and without.
_PLANS = {"plan_seconds": (), "plan_without_probe_seconds": ("--no-probe",)}
_SHOWN = (
    "fraction",
    "budget_bytes",
    "open_seconds",
    "read_beyond_budget_bytes",
    "read_beyond_resident_bytes",
    *_PLANS,
)
FRACTIONS = (0.02, 0.10, 0.45)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    add_common(parser, rounds=5)
    parser.add_argument("--fractions", type=float, nargs="+", default=FRACTIONS, help="budgets / weights")


def run(options: argparse.Namespace) -> Path:
    """Measure, summarise, write."""
    bench = Bench("open", options)
    fractions = (0.45,) if options.toy else options.fractions
    plans: list[dict[str, Any]] = []
    for number in range(bench.rounds):
        for fraction in fractions:
            budget = bench.budget(fraction)
            sample = bench.measure(
                "outgrow",
                label=f"outgrow {fraction:.0%}",
                round_number=number,
                limit_bytes=bench.limit(budget),
                budget_bytes=budget,
                prompt_tokens=16,
                decode_tokens=2,
            )
            sample["fraction"] = fraction
            if not options.toy:  # a process of its own each time
                for kind, given in _PLANS.items():
                    plan = run_plan(bench.model, budget, *given, timeout_seconds=60)
                    plans.append({"fraction": fraction, "round": number, "kind": kind, **plan})
    return bench.finish(_summary(bench, plans), plans=plans, show=_SHOWN)


def _summary(bench: Bench, plans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for fraction in dict.fromkeys(s["fraction"] for s in bench.samples):
        tried = [s for s in bench.samples if s["fraction"] == fraction]
        good = [s for s in tried if figures.failure(s) is None]
        planned = [p for p in plans if p["fraction"] == fraction]
        rows.append(
            {
                "fraction": fraction,
                "budget_bytes": bench.budget(fraction),
                "open_seconds": figures.spread([s["open"]["seconds"] for s in good]),
                "open_disk_bytes": figures.spread([s["open"]["disk_bytes"] or 0 for s in good]),
                "read_beyond_budget_bytes": figures.spread(
                    [max(0, (s["open"]["disk_bytes"] or 0) - bench.budget(fraction)) for s in good]
                ),
                "read_beyond_resident_bytes": figures.spread(
                    [
                        (s["open"]["disk_bytes"] or 0) - s["statistics_open"]["resident_bytes"]
                        for s in good
                        if "resident_bytes" in (s["statistics_open"] or {})
                    ]
                ),
                "statistics_after_open": good[-1]["statistics_open"] if good else None,
                **{
                    kind: figures.spread(
                        [p["seconds"] for p in planned if p["kind"] == kind and "error" not in p]
                    )
                    for kind in _PLANS
                },
                "failures": [f for s in tried if (f := figures.failure(s))]
                + [p["error"] for p in planned if "error" in p],
            }
        )
    return rows
