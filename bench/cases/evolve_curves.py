"""Does growing pay? Shapes that stay, grow or are cut, tuned alike, on Fashion-MNIST at equal FLOPs."""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import sys
import time
from pathlib import Path
from typing import Any

import torch

from bench import machine
from bench.evolve.arms import train
from bench.evolve.fashion import Pictures, read_pictures
from bench.evolve.ledger import Key, Ledger
from bench.evolve.net import UNIT_MACS
from bench.evolve.stages import STAGES, Stage, Tuning, chosen_only, next_key
from bench.evolve.step_seconds import measure_steps, seconds_of
from bench.evolve.table import table
from bench.evolve.training import BATCH
from bench.evolve.verdicts import verdicts
from bench.harness import FORMAT, RESULTS, write_result
from bench.models import bench_directory

_TOY_TUNING = Tuning(rates=(0.01,), seeds=(0,), most=1)
_TOY_STAGES = tuple(
    Stage(arms=arms, seeds=2, tuning=_TOY_TUNING)
    for arms in (
        ("fixed 4.8.16", "grow 16.32.64 split", "grow 16.32.64 zero-outgoing"),
        ("grow 8.16.64", "Torch-Pruning 16 to 8", "cooldown", "evolve uniform"),
        ("mlp fixed 8", "mlp gromo 8 to 32", "mlp evolve 8 to 32"),
    )
)
_TOY_SCALE = 2e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="a few steps of each kind of arm, random pictures")
    parser.add_argument("--data", type=Path, help="directory of the four IDX files of Fashion-MNIST")
    parser.add_argument("--ledger", type=Path, help="file of finished runs, from which a killed case goes on")
    parser.add_argument("--minutes", type=float, help="start no run later than this; say what is missing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")


def run(options: argparse.Namespace) -> Path:
    """Make the runs that are missing, then judge all there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _run(options)
    finally:
        torch.set_num_threads(threads)


def _run(options: argparse.Namespace) -> Path:
    stages, scale = (_TOY_STAGES, _TOY_SCALE) if options.toy else (STAGES, 1.0)
    ledger = Ledger(options.ledger or bench_directory() / f"evolve_curves{'-toy' * options.toy}.jsonl")
    pictures = _random_pictures() if options.toy else read_pictures(options.data)
    began = time.monotonic()
    for key in next_key(ledger, stages):
        if options.minutes is not None and time.monotonic() - began > 60 * options.minutes:
            break
        _say(ledger.add(key, train(key, pictures, scale)))
    steps = measure_steps(pictures, rounds=1 if options.toy else 7, steps=1 if options.toy else 12)
    judged = chosen_only(ledger, stages)
    rows = table(judged, stages)
    for row in rows:
        row["quiet_seconds"] = seconds_of(row["arm"], row["budget"], steps, UNIT_MACS * scale)
    missing = sum(row["wanted"] - row["n"] for row in rows)
    result = {
        "format": FORMAT,
        "case": "evolve_curves",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": options.toy,
        "partial": missing > 0,
        "missing_runs": missing,
        "unit_macs": UNIT_MACS * scale,
        "batch": BATCH,
        "pictures": [len(pictures.train[1]), len(pictures.validation[1]), len(pictures.test[1])],
        "threads": torch.get_num_threads(),
        "step_seconds": steps,
        "summary": [*rows, *verdicts(judged, rows)],
        "samples": list(ledger.rows.values()),
    }
    for row in result["summary"]:
        if row["what"] != "arm":
            print({name: value for name, value in row.items() if name != "also"}, file=sys.stderr)
    return write_result(result, options.results, "evolve_curves")


def _say(row: dict[str, Any]) -> None:
    key = Key(**row["key"])
    print(
        f"[evolve_curves] {key.arm} {key.budget:g}x lr {key.lr:g} seed {key.seed} {key.split}: "
        f"validation {row['validation']['ce']:.4f} {row['validation']['accuracy']:.2f} %, "
        f"train {row['train']['ce']:.4f}, {row['cpu_seconds']:.1f} s, {row['epochs']:.1f} epochs",
        file=sys.stderr,
        flush=True,
    )


def _random_pictures() -> Pictures:
    generator = torch.Generator().manual_seed(0)
    splits = [
        (torch.randn(count, 1, 28, 28, generator=generator), torch.randint(10, (count,), generator=generator))
        for count in (256, 64, 64)
    ]
    return Pictures(train=splits[0], validation=splits[1], test=splits[2])
