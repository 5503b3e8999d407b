"""How many instructions a second pass the dispatcher, from several programs to several workers, over real
sockets?"""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import machine
from bench.dispatch_run import KINDS
from bench.figures import spread
from bench.harness import FORMAT, RESULTS, rotated, write_result

_ROOT = Path(__file__).resolve().parents[2]
_SHAPES = ((1, 2), (4, 2), (4, 8))
"""Programs and workers."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="a tenth of a second each")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, default=3.0, help="that programs send in each")
    parser.add_argument("--instructions", type=int, default=1000, help="of a training step")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", default="shard_dispatch", help="name of the result")


def run(options: argparse.Namespace) -> Path:
    """Measure every kind of traffic at every shape, in rounds; write the result."""
    rounds, seconds = (1, 0.1) if options.toy else (options.rounds, options.seconds)
    shapes = _SHAPES[1:2] if options.toy else _SHAPES
    cases = [(kind, clients, workers) for kind in KINDS for clients, workers in shapes]
    samples: list[dict[str, Any]] = []
    for number in range(rounds):
        for kind, clients, workers in rotated(cases, number):
            spec = {
                "kind": kind,
                "clients": clients,
                "workers": workers,
                "instructions": options.instructions,
                "seconds": seconds,
            }
            samples.append({**_measure(spec), "round": number})
            print(f"[shard_dispatch] {samples[-1]}", file=sys.stderr, flush=True)
    record = {
        "format": FORMAT,
        "case": "shard_dispatch",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "rounds": rounds,
        "summary": [
            _row([s for s in samples if (s["kind"], s["clients"], s["workers"]) == case]) for case in cases
        ],
        "samples": samples,
    }
    return write_result(record, options.results, options.name)


def _measure(spec: dict[str, Any]) -> dict[str, Any]:
    paths = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bench.dispatch_run", json.dumps(spec)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OSError(f"the measured process ended with code {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _row(samples: list[dict[str, Any]]) -> dict[str, Any]:
    first = samples[0]
    return {
        "kind": first["kind"],
        "clients": first["clients"],
        "workers": first["workers"],
        **{
            name: spread([sample[name] for sample in samples])
            for name in (
                "instructions_per_second",
                "instructions_per_dispatcher_cpu_second",
                "bytes_per_instruction",
            )
        },
        "calls_per_second": spread([sample["calls"] / sample["elapsed_seconds"] for sample in samples]),
    }
