"""How many steps a second against the predecessor, which runs the same script from its public source?"""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import machine
from bench.harness import FORMAT, RESULTS, write_result

_ROOT = Path(__file__).resolve().parents[2]
SETUPS = {
    "pixel, one worker": ("--program", "pixel", "--workers", "1"),
    "pixel, two workers, automatic sharding": ("--program", "pixel", "--workers", "2"),
    "mlp, one worker": ("--program", "mlp", "--workers", "1"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="small frames, ours alone, one setup")
    parser.add_argument(
        "--original", type=Path, help="folder with the predecessor's package `gt`; without it ours runs alone"
    )
    parser.add_argument("--also", type=Path, help="folder with what the predecessor imports, such as pyzmq")
    parser.add_argument("--rounds", type=int, default=3, help="how often both run, in turn")
    parser.add_argument("--steps", type=int, default=60, help="of ours; the first half warms up")
    parser.add_argument(
        "--original-steps", type=int, default=8, help="of the predecessor; the first three too"
    )
    parser.add_argument("--limit", type=float, default=90.0, help="seconds after which a run is ended")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", default="shard_original", help="name of the result")


def run(options: argparse.Namespace) -> Path:
    """Run both scripts in turn, each in a process of its own; write the result."""
    setups = {"pixel, one worker": SETUPS["pixel, one worker"]} if options.toy else SETUPS
    samples = []
    for number in range(1 if options.toy else options.rounds):
        for setup, arguments in setups.items():
            samples.append(_ours(options, setup, arguments, number))
            if options.original is not None:
                samples.append(_original(options, setup, arguments, number))
    record = {
        "format": FORMAT,
        "case": "shard_original",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *("FOLDER" if "/" in word else word for word in sys.argv[1:])],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "load_average": os.getloadavg(),
        "summary": [_row(setup, samples) for setup in setups],
        "samples": samples,
    }
    for row in record["summary"]:
        print(f"[shard_original] {row}", file=sys.stderr, flush=True)
    return write_result(record, options.results, options.name)


def _ours(options: argparse.Namespace, setup: str, arguments: tuple[str, ...], number: int) -> dict[str, Any]:
    steps = 4 if options.toy else options.steps
    toy = ("--side", "8") if options.toy else ()
    return _script("outgrow.shard", setup, number, steps, steps // 2, options.limit, (*arguments, *toy), ())


def _original(
    options: argparse.Namespace, setup: str, arguments: tuple[str, ...], number: int
) -> dict[str, Any]:
    paths = [str(path.resolve()) for path in (options.original, options.also) if path is not None]
    steps = options.original_steps
    return _script("gt", setup, number, steps, min(3, steps - 1), options.limit, arguments, paths)


def _script(
    package: str,
    setup: str,
    number: int,
    steps: int,
    warm_up: int,
    limit: float,
    arguments: tuple[str, ...],
    paths: Any,
) -> dict[str, Any]:
    """One run; steps after the warm-up count. A run that the limit ends has the steps that it did."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "bench.pixel_script",
        package,
        "--steps",
        str(steps),
        *arguments,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GT_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *paths])
    process = subprocess.Popen(
        command, env=environment, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        out, err = process.communicate(timeout=limit)
        is_ended = False
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        is_ended = True
    found = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    sample = {
        "package": package,
        "setup": setup,
        "round": number,
        "steps": len(found),
        "step_seconds": [one["seconds"] for one in found],
        "losses": [one["loss"] for one in found],
        "warm_up": warm_up,
        "limit_seconds": limit,
        "is_ended_by_limit": is_ended,
    }
    if not is_ended and process.returncode:
        sample["error"] = {"text": err[-2000:]}
    print(f"[shard_original] {package}: {setup}: {_seconds(sample)}", file=sys.stderr, flush=True)
    return sample


def _seconds(sample: dict[str, Any]) -> float | None:
    """The median step after the warm-up; what it took at least, where the limit came first."""
    counted = sample["step_seconds"][sample["warm_up"] :]
    if counted:
        return statistics.median(counted)
    if sample["is_ended_by_limit"]:
        return sample["limit_seconds"] / (sample["steps"] + 1)
    return None


def _row(setup: str, samples: list[dict[str, Any]]) -> dict[str, Any]:
    own = [one for one in samples if one["setup"] == setup]
    ours = [_seconds(one) for one in own if one["package"] == "outgrow.shard"]
    theirs = [_seconds(one) for one in own if one["package"] == "gt"]
    row: dict[str, Any] = {"setup": setup, "failures": [one["error"] for one in own if "error" in one]}
    if None in ours:
        return row
    row["step_seconds"] = statistics.median(ours)
    if theirs and None not in theirs:
        row["original_step_seconds"] = statistics.median(theirs)
        row["original_is_at_least"] = any(one["is_ended_by_limit"] for one in own)
        row["ratios"] = [one / two for one, two in zip(theirs, ours, strict=True)]
        row["ratio"] = statistics.median(row["ratios"])
        row["largest_loss_difference"] = max(
            abs(one - two)
            for first in own
            for second in own
            if first["round"] == second["round"]
            for one, two in zip(first["losses"], second["losses"], strict=False)
        )
    return row
