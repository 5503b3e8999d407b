"""What does recording cost a training step? Outputs of all modules of a small GPT, against plain steps."""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from bench import figures, machine
from bench.harness import FORMAT, RESULTS, write_result
from bench.small_gpt import SHAPES, SmallGpt
from outgrow.capture import record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="a tiny model, one round")
    parser.add_argument("--shapes", nargs="+", choices=sorted(SHAPES), default=("baby", "gpt2"))
    parser.add_argument("--rounds", type=int, default=7, help="how often everything is measured")
    parser.add_argument("--steps", type=int, default=4, help="measured steps of each kind in a round")
    parser.add_argument("--threads", type=int, help="that compute; as many as torch takes where left out")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")


def run(options: argparse.Namespace) -> Path:
    """Rounds of plain and recorded steps, in turn, in one process on the same model."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    shapes, rounds = (("toy",), 1) if options.toy else (options.shapes, options.rounds)
    samples: list[dict[str, Any]] = []
    for name in shapes:
        step = _make_step(name)
        for _ in range(2):
            step()
        for number in range(rounds):
            kinds = ("plain", "recorded") if number % 2 == 0 else ("recorded", "plain")
            for kind in kinds:
                sample = _measure(name, step, options.steps, is_recorded=kind == "recorded")
                samples.append({"shape": name, "round": number, "kind": kind, **sample})
                print(f"{name} {number} {kind}: {sample['step_seconds']}", file=sys.stderr)
    about = machine.machine()
    result = {
        "format": FORMAT,
        "case": "record_overhead",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": about,
        "toy": options.toy,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "summary": [_summary(name, samples) for name in shapes],
        "samples": samples,
    }
    for row in result["summary"]:
        print(
            {key: value["median"] for key, value in row.items() if isinstance(value, dict)}, file=sys.stderr
        )
    return write_result(result, options.results, "record_overhead")


def _make_step(name: str) -> Any:
    shape = SHAPES[name]
    torch.manual_seed(0)
    model = SmallGpt(shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    tokens = torch.randint(shape.vocab, (shape.batch, shape.length + 1))

    def step() -> None:
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step.model = model  # type: ignore[attr-defined]
    return step


def _measure(name: str, step: Any, count: int, *, is_recorded: bool) -> dict[str, Any]:
    """Seconds of `count` steps after one that warms up, and for recordings those of the end."""
    if not is_recorded:
        step()
        return _timed(step, count)
    with tempfile.TemporaryDirectory() as folder:
        with record(step.model, Path(folder) / "run") as recorder:
            step()
            found = _timed(step, count)
            began = time.perf_counter()
        found["closing_seconds"] = time.perf_counter() - began
        found["bytes_per_step"] = recorder.nbytes // (count + 1)
        found["tensors_per_step"] = recorder.records // (count + 1)
    return found


def _timed(step: Any, count: int) -> dict[str, Any]:
    seconds, before = [], _processor_seconds()
    for _ in range(count):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return {
        "step_seconds": seconds,
        "processor_seconds": (_processor_seconds() - before) / count,
        "load_average": os.getloadavg()[0],
    }


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _summary(name: str, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios within a round; the end of a recording is shared among its steps in `whole_ratio`."""
    rounds = {sample["round"] for sample in samples if sample["shape"] == name}
    found: dict[str, list[float]] = {
        key: [] for key in ("ratio", "whole_ratio", "best_ratio", "processor_ratio")
    }
    plain_seconds, recorded = [], {}
    for number in sorted(rounds):
        plain, recorded = (
            next(s for s in samples if (s["shape"], s["round"], s["kind"]) == (name, number, kind))
            for kind in ("plain", "recorded")
        )
        base, slowed = (sum(sample["step_seconds"]) for sample in (plain, recorded))
        found["ratio"].append(slowed / base)
        found["whole_ratio"].append((slowed + recorded["closing_seconds"]) / base)
        found["best_ratio"].append(min(recorded["step_seconds"]) / min(plain["step_seconds"]))
        found["processor_ratio"].append(recorded["processor_seconds"] / plain["processor_seconds"])
        plain_seconds.append(base / len(plain["step_seconds"]))
    return {
        "shape": name,
        "bytes_per_step": recorded["bytes_per_step"],
        "tensors_per_step": recorded["tensors_per_step"],
        "plain_step_seconds": figures.spread(plain_seconds),
        **{key: figures.spread(values) for key, values in found.items()},
    }
