"""What does importing each room cost beyond torch, and how long does `outgrow --help` take?"""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench import machine
from bench.figures import spread
from bench.harness import FORMAT, RESULTS, rotated, write_result

# In a Python of its own: torch first where the room needs it, then the room; the seconds of both.
_IMPORT = """\
import json, sys, time
first, module = sys.argv[1:]
clocks = (time.perf_counter, time.process_time)
began = [clock() for clock in clocks]
if first:
    __import__(first)
between = [clock() for clock in clocks]
__import__(module)
ended = [clock() for clock in clocks]
found = {"seconds": ended[0] - between[0], "cpu_seconds": ended[1] - between[1], "modules": len(sys.modules)}
print(json.dumps({**found, "first_cpu_seconds": between[1] - began[1]}))
"""
# Each with what is imported before it; `outgrow` and `outgrow.compare` load no torch.
_MODULES = {
    "torch": "", "outgrow": "", "outgrow.compare": "", "outgrow.cli.main": "",
    "outgrow.store": "torch", "outgrow.capture": "torch", "outgrow.stream": "torch", "outgrow.shard": "torch",
    "outgrow.evolve": "torch", "outgrow.compare.comparison": "torch",
}  # fmt: skip
_COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "outgrow --help": ["-m", "outgrow", "--help"],
    "outgrow --version": ["-m", "outgrow", "--version"],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="what loads no torch, once")
    parser.add_argument("--rounds", type=int, default=9, help="how often everything is measured")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", default="import_times", help="name of the result")


def run(options: argparse.Namespace) -> Path:
    """Import everything in rounds, one after the other in processes of their own; write the result."""
    modules = [name for name, first in _MODULES.items() if not options.toy or not (first or name == "torch")]
    rounds = 1 if options.toy else options.rounds
    samples: list[dict[str, Any]] = []
    for number in range(-1, rounds):  # once before, so that files are in the page cache and compiled
        for what in rotated([*modules, *_COMMANDS], number):
            sample = _command(what) if what in _COMMANDS else _import(what)
            if number >= 0:
                samples.append({"round": number, "what": what, **sample})
        print(f"[import_times] round {number} of {rounds}", file=sys.stderr, flush=True)
    record = {
        "format": FORMAT,
        "case": "import_times",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "rounds": rounds,
        "summary": [_row(what, samples) for what in (*modules, *_COMMANDS)],
        "samples": samples,
    }
    return write_result(record, options.results, options.name)


def _import(module: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, _MODULES[module], module], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _command(what: str) -> dict[str, Any]:
    began, used = time.perf_counter(), _of_children()
    subprocess.run([sys.executable, *_COMMANDS[what]], capture_output=True, check=True)
    return {"seconds": time.perf_counter() - began, "cpu_seconds": _of_children() - used}


def _of_children() -> float:
    """Seconds of processors that ended processes took; what else the machine does counts for little there."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _row(what: str, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """The seconds of one; where torch came before it, its processor's also as a share of those of torch."""
    own = [sample for sample in samples if sample["what"] == what]
    row: dict[str, Any] = {"what": what, "first": _MODULES.get(what, "")}
    row |= {clock: spread([one[clock] for one in own]) for clock in ("seconds", "cpu_seconds")}
    if row["first"]:
        row["per_torch"] = spread([one["cpu_seconds"] / one["first_cpu_seconds"] for one in own])
    return row
