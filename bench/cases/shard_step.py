"""How long does a training step take on two workers, against plain torch and data parallelism by hand?"""

__all__ = ["add_arguments", "run"]

import argparse
import contextlib
import datetime
import json
import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import machine
from bench.figures import spread
from bench.harness import FORMAT, RESULTS, rotated, write_result
from bench.step_models import MODELS

_ROOT = Path(__file__).resolve().parents[2]
NAMES = ("pixel", "cnn", "vocabulary", "gpt")
COLUMNS: dict[str, dict[str, str]] = {
    "torch": {},
    "ddp": {},
    "one worker": {"GT_WORKERS": "1"},
    "two workers": {"GT_WORKERS": "2"},
    "two workers, capped": {"GT_WORKERS": "2", "GT_WORKER_MEMORY": "cap"},
    "data parallel": {"GT_WORKERS": "2", "STEP_PLANS": "data parallel"},
    "one worker, compiled": {"GT_WORKERS": "1", "STEP_COMPILED": "1"},
    "two workers, compiled": {"GT_WORKERS": "2", "STEP_COMPILED": "1"},
    "two workers, capped, compiled": {"GT_WORKERS": "2", "GT_WORKER_MEMORY": "cap", "STEP_COMPILED": "1"},
    "data parallel, compiled": {"GT_WORKERS": "2", "STEP_PLANS": "data parallel", "STEP_COMPILED": "1"},
}
"""From a column to its environment; the first two are torch's. `compiled` is the step under `gt.compile`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="a tiny model, one round")
    parser.add_argument("--rounds", type=int, default=5, help="how often every column is measured")
    parser.add_argument("--steps", type=int, default=10, help="of each column in a round")
    parser.add_argument("--warm", type=int, default=30, help="steps before anything is measured")
    parser.add_argument("--models", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--columns", nargs="+", choices=sorted(COLUMNS), default=list(COLUMNS))
    parser.add_argument("--dry", action="store_true", help="write no result file")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", default="shard_step", help="name of the result")


class Runner:
    """The processes of one column, kept while the others are measured."""

    def __init__(self, column: str, model: str) -> None:
        self.column = column
        kind = column if column in ("torch", "ddp") else "sharded"
        ranks = 2 if kind == "ddp" else 1
        cores = len(os.sched_getaffinity(0))
        port = _free_port() if kind == "ddp" else 0
        self.processes = []
        for rank in range(ranks):
            settings = dict(COLUMNS[column])
            if settings.get("GT_WORKER_MEMORY") == "cap":
                settings["GT_WORKER_MEMORY"] = MODELS[model].memory
            settings["OMP_NUM_THREADS"] = str(cores // ranks)
            if kind == "ddp":
                settings |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1"}
                settings["MASTER_PORT"] = str(port)
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-W", "ignore", "-m", "bench.step_column", kind, model],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=_ROOT,
                    env={**os.environ, **settings},
                )
            )
        for process in self.processes:
            self._line(process)

    def run(self, steps: int, *, explain: bool = False) -> dict[str, Any]:
        """Train on; what rank 0 says."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps({"steps": steps, "explain": explain}) + "\n")
            process.stdin.flush()
        found = [json.loads(self._line(process)) for process in self.processes]
        return found[0]

    def close(self) -> None:
        """End the processes."""
        for process in self.processes:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def _line(self, process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of column {self.column!r} ended with {process.wait()}")
        return line


def run(options: argparse.Namespace) -> Path:
    """Measure all columns of each model in turns; write the result."""
    models = ("toy",) if options.toy else tuple(options.models)
    columns = tuple(options.columns)[:4] if options.toy else tuple(options.columns)
    rounds, steps, warm = (1, 2, 12) if options.toy else (options.rounds, options.steps, options.warm)
    samples, summary = [], {}
    for model in models:
        runners = {}
        try:
            for column in columns:
                runners[column] = Runner(column, model)
                runners[column].run(warm)
            for number in range(rounds):
                for column in rotated(columns, number):
                    runners[column].run(1)
                    found = runners[column].run(steps, explain=number == rounds - 1)
                    if "explain" in found:
                        found["plans"] = _used(found.pop("explain"))
                    samples.append({"model": model, "column": column, "round": number, **found})
                    _say(f"{model}, round {number}, {column}: {statistics.median(found['seconds']):.4f} s")
        finally:
            for runner in runners.values():
                runner.close()
        summary[model] = _summary([sample for sample in samples if sample["model"] == model])
        _say(json.dumps(summary[model]))
    result = {
        "format": FORMAT,
        "case": "shard_step",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "summary": summary,
        "samples": samples,
    }
    if options.dry:
        print(json.dumps(summary, indent=1))
        return options.results
    return write_result(result, options.results, options.name)


def _summary(samples: list[dict[str, Any]]) -> dict[str, Any]:
    by_column: dict[str, list[float]] = {}
    for sample in samples:
        by_column.setdefault(sample["column"], []).append(statistics.median(sample["seconds"]))
    medians = {column: statistics.median(seconds) for column, seconds in by_column.items()}
    return {
        "seconds": {column: spread(seconds) for column, seconds in by_column.items()},
        "of torch": {column: seconds / medians["torch"] for column, seconds in medians.items()}
        if "torch" in medians
        else {},
        "of ddp": {column: seconds / medians["ddp"] for column, seconds in medians.items()}
        if "ddp" in medians
        else {},
        "plans": {sample["column"]: sample["plans"] for sample in samples if "plans" in sample},
    }


def _used(explained: dict[str, Any]) -> list[Any]:
    found = []
    for cycle in explained["cycles"]:
        used = cycle["used"]
        found.append(
            {
                "used": None if used is None else cycle["candidates"][used]["kind"],
                "is_final": cycle["is_final"],
                "notes": cycle["notes"],
                "candidates": {
                    one["kind"]: {
                        "predicted": one["predicted_seconds"],
                        "measured": one["measured_seconds"],
                        "banned": one["banned"],
                    }
                    for one in cycle["candidates"]
                },
            }
        )
    return found


def _say(text: str) -> None:
    print(f"[shard_step] {text}", file=sys.stderr, flush=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
