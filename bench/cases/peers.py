"""How much faster than its peers is outgrow, under one memory limit, in interleaved pairs?"""

__all__ = ["add_arguments", "run"]

import argparse
from pathlib import Path
from typing import Any

from bench import figures
from bench.harness import Bench, rotated
from bench.harness import add_arguments as add_common
from bench.systems import PEERS, SYSTEMS

FRACTIONS = (0.45, 0.10)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    add_common(parser, rounds=5)
    parser.add_argument("--fractions", type=float, nargs="+", default=FRACTIONS, help="budgets / weights")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--tokens", type=int, default=8, help="decoded tokens of outgrow")
    parser.add_argument("--slow-tokens", type=int, default=4, help="decoded tokens of each peer")


def run(options: argparse.Namespace) -> Path:
    """Measure, summarise, write."""
    bench = Bench("peers", options)
    bench.prepare(options.peers)
    for number in range(bench.rounds):
        bench.measure("resident", round_number=number, limit_bytes=None, decode_tokens=options.tokens)
        for fraction in options.fractions:
            bench.probe()
            for peer in rotated(options.peers, number):
                _pair(bench, number, fraction, peer)
        bench.probe()
    return bench.finish(summarise(bench), show=("fraction", "peer", "times_faster", "times_faster_prefill"))


def _pair(bench: Bench, number: int, fraction: float, peer: str) -> None:
    """outgrow and one peer, the other one first in every second round: disks drift within minutes."""
    budget = bench.budget(fraction)
    order = ("outgrow", peer) if number % 2 == 0 else (peer, "outgrow")
    for system in order:
        sample = bench.measure(
            system,
            label=f"{system} {fraction:.0%}" + (f" beside {peer}" if system == "outgrow" else ""),
            round_number=number,
            limit_bytes=bench.limit(budget),
            budget_bytes=budget,
            decode_tokens=bench.options.slow_tokens if SYSTEMS[system].is_slow else bench.options.tokens,
        )
        sample |= {"fraction": fraction, "pair": peer}


def summarise(bench: Bench) -> list[dict[str, Any]]:
    """One row for each budget and peer: how many times faster, as the median over pairs."""
    good = [s for s in bench.samples if figures.failure(s) is None]
    resident = {s["round"]: s for s in good if s["system"] == "resident"}
    rows: list[dict[str, Any]] = []
    for fraction in dict.fromkeys(s["fraction"] for s in bench.samples if "fraction" in s):
        for peer in bench.options.peers:
            tried = [s for s in bench.samples if s.get("fraction") == fraction and s.get("pair") == peer]
            mine = {s["round"]: s for s in tried if s["system"] == "outgrow" and s in good}
            theirs = {s["round"]: s for s in tried if s["system"] == peer and s in good}
            both = sorted(mine.keys() & theirs.keys())
            rows.append(
                {
                    "fraction": fraction,
                    "budget_bytes": bench.budget(fraction),
                    "limit_bytes": bench.limit(bench.budget(fraction)),
                    "peer": peer,
                    "times_faster": figures.spread(
                        [figures.token_seconds(theirs[n]) / figures.token_seconds(mine[n]) for n in both]
                    ),
                    "times_faster_prefill": figures.spread(
                        [
                            theirs[n]["prefills"][0]["seconds"] / mine[n]["prefills"][0]["seconds"]
                            for n in both
                        ]
                    ),
                    "outgrow": _side(mine, resident),
                    "peer_figures": _side(theirs, resident),
                    "failures": sorted({f"{s['label']}: {f}" for s in tried if (f := figures.failure(s))}),
                }
            )
    return rows


def _side(samples: dict[int, dict[str, Any]], resident: dict[int, dict[str, Any]]) -> dict[str, Any]:
    equal = [figures.equal_steps(s, resident[n]) for n, s in samples.items() if n in resident]
    found = list(samples.values())
    return {
        "token_seconds": figures.spread([figures.token_seconds(s) for s in found]),
        "cpu_seconds_per_token": figures.spread(
            [s["decode"]["cpu_seconds"] / len(s["decode_step_seconds"]) for s in found]
        ),
        "disk_bytes_per_token": figures.spread([figures.streamed_bytes_per_token(s) for s in found]),
        "prefill_seconds": figures.spread([s["prefills"][0]["seconds"] for s in found]),
        "open_seconds": figures.spread([s["open"]["seconds"] for s in found]),
        "peak_anon_bytes": max(
            (p["peak_anon_bytes"] for s in found for p in (*s["prefills"], s["decode"])), default=None
        ),
        "equal_logits": [sum(one for one, _ in equal), sum(of for _, of in equal)],
    }
