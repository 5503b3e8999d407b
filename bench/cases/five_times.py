"""Does a model of five times the memory limit run 20 passes, with no process killed?"""

__all__ = ["add_arguments", "run"]

import argparse
from pathlib import Path

from bench import figures
from bench.harness import Bench
from bench.harness import add_arguments as add_common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    add_common(parser, rounds=1, model="llama7b")
    parser.add_argument("--times", type=float, default=5.5, help="weights / limit of the process")
    parser.add_argument("--passes", type=int, default=20, help="decoded tokens after the prefill")
    parser.add_argument(
        "--reserve", type=int, default=700_000_000, help="bytes of the limit that are not budget"
    )


def run(options: argparse.Namespace) -> Path:
    """Measure, summarise, write."""
    bench = Bench("five_times", options)
    limit = round(bench.weights_bytes / options.times)
    budget = max(limit - options.reserve, bench.budget(0.05)) if not options.toy else bench.budget(0.3)
    rows = []
    for number in range(bench.rounds):
        before = bench.probe()
        sample = bench.measure(
            "outgrow",
            round_number=number,
            limit_bytes=limit,
            budget_bytes=budget,
            decode_tokens=options.passes,
        )
        disk = max(before.best, bench.probe().best)
        ended = sample.get("limited") or {}
        row = {
            "round": number,
            "limit_bytes": limit,
            "limit_was_set": ended.get("limit_bytes") is not None,
            "weights_over_limit": bench.weights_bytes / limit,
            "budget_bytes": budget,
            "oom_kills": ended.get("oom_kills"),
            "cgroup_peak_bytes": ended.get("cgroup_peak_bytes"),
            "failure": figures.failure(sample),
        }
        if row["failure"] is None:
            streamed = figures.streamed_bytes_per_token(sample)
            row |= {
                "passes": len(sample["prefills"]) + len(sample["decode_step_seconds"]),
                "token_seconds": figures.token_seconds(sample),
                "streamed_bytes_per_token": streamed,
                "disk_seconds_per_token": streamed / disk,
                "peak_anon_bytes": max(
                    p["peak_anon_bytes"] for p in (sample["open"], *sample["prefills"], sample["decode"])
                ),
            }
        rows.append(row)
    return bench.finish(rows, show=tuple(rows[0]))
