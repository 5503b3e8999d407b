"""How long from the first use of a tensor until the workers answer, and from the end of the program until
they are gone?"""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench import machine
from bench.figures import spread
from bench.harness import FORMAT, RESULTS, rotated, write_result
from outgrow.shard.engines.local import start_local
from outgrow.shard.messages import Ask

_IMPORT = "import time; began = time.perf_counter(); import torch; print(time.perf_counter() - began)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="one worker, once")
    parser.add_argument("--rounds", type=int, default=7, help="how often everything is measured")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8], help="numbers to start")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", default="shard_start", help="name of the result")


def run(options: argparse.Namespace) -> Path:
    """Start and end workers in rounds, and a Python that only imports torch beside them; write the result."""
    rounds, counts = (1, [1]) if options.toy else (options.rounds, options.workers)
    samples: list[dict[str, Any]] = []
    for number in range(rounds):
        for workers in rotated(counts, number):
            samples.append({"round": number, "import_torch_seconds": _import_seconds(), **_measure(workers)})
            print(f"[shard_start] {samples[-1]}", file=sys.stderr, flush=True)
    record = {
        "format": FORMAT,
        "case": "shard_start",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "rounds": rounds,
        "summary": [_row([s for s in samples if s["workers"] == workers]) for workers in counts],
        "samples": samples,
    }
    return write_result(record, options.results, options.name)


def _measure(workers: int) -> dict[str, Any]:
    began = time.perf_counter()
    link = start_local(workers)
    returned = time.perf_counter()
    link.request(Ask(request=1, topic="barrier"))
    ready = time.perf_counter()
    link.close()
    gone = time.perf_counter()
    return {
        "workers": workers,
        "return_seconds": returned - began,
        "ready_seconds": ready - began,
        "close_seconds": gone - ready,
    }


def _import_seconds() -> float:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT], env=dict(os.environ), capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _row(samples: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("import_torch_seconds", "return_seconds", "ready_seconds", "close_seconds")
    row: dict[str, Any] = {name: spread([sample[name] for sample in samples]) for name in names}
    ratios = [sample["ready_seconds"] / sample["import_torch_seconds"] for sample in samples]
    return {"workers": samples[0]["workers"], **row, "ready_per_import": spread(ratios)}
