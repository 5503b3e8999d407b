"""Which policy decides best, where every sequence of decisions of tiny trainings was run once?"""

__all__ = ["add_arguments", "run"]

import argparse
import dataclasses
import datetime
import hashlib
import json
import os
import sys
from pathlib import Path

import torch

from bench import machine
from bench.evolve_decisions.collection import add_row, read_rows, table_of
from bench.evolve_decisions.enumeration import enumerate_task
from bench.evolve_decisions.folds import SEEDS, STEPS, compare_all, ship
from bench.evolve_decisions.tasks import TASKS, read_splits
from bench.harness import FORMAT, RESULTS, write_result
from outgrow.evolve.policies.environment import DecisionTable

TABLE = Path(__file__).resolve().parent.parent / "evolve_decisions" / "table.json"
"""The tables that the comparison reads and the shipped policy is trained on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="a few replays and steps of training")
    parser.add_argument("--enumerate", action="store_true", help="run what is missing, and write the table")
    parser.add_argument("--rows", type=Path, default=Path("decisions.jsonl"), help="of the enumeration")
    parser.add_argument("--tasks", nargs="+", choices=sorted(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3, help="of the enumeration")
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--networks", type=Path, help="keep what is trained here, and take it from here")
    parser.add_argument("--ship", type=Path, help="train the policy that comes with outgrow into this file")
    parser.add_argument(
        "--fashion-mnist",
        type=Path,
        default=Path(os.environ.get("OUTGROW_FASHION_MNIST", "/usr/share/datasets/fashion-mnist")),
        help="directory of the IDX files",
    )
    parser.add_argument("--mnist", type=Path, default=Path("mnist"), help="directory of the IDX files")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")


def run(options: argparse.Namespace) -> Path:
    """Compare on the table; with --enumerate make it, with --ship train the policy that outgrow brings."""
    torch.set_num_threads(1)
    if options.enumerate:
        return _enumerate(options)
    tables = DecisionTable.read(options.table)
    if options.ship is not None:
        return ship(options.table, tables, options.ship)
    steps, replays, draws, seeds = STEPS, 1000, 40, SEEDS
    if options.toy:
        steps, replays, draws, seeds = 2, 20, 2, (0,)
        few = ("digits-narrow", "fashion-narrow")
        tables = {name: dataclasses.replace(tables[name], seeds=tables[name].seeds[:1]) for name in few}
    summary, samples = compare_all(
        options.table,
        tables,
        steps=steps,
        replays=replays,
        draws=draws,
        seeds=seeds,
        folder=options.networks,
    )
    for row in summary:
        print(json.dumps(row), file=sys.stderr)
    result = {
        "format": FORMAT,
        "case": "evolve_decisions",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", "evolve_decisions", *(["--toy"] if options.toy else [])],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "table": hashlib.sha256(options.table.read_bytes()).hexdigest(),
        "settings": {"steps": steps, "replays": replays, "draws": draws, "training_seeds": list(seeds)},
        "summary": summary,
        "samples": samples,
    }
    return write_result(result, options.results, "evolve_decisions")


def _enumerate(options: argparse.Namespace) -> Path:
    directories = {"fashion": options.fashion_mnist, "mnist": options.mnist}
    for seed in range(options.seeds):
        for name in options.tasks:
            done = {
                row["action"] for row in read_rows(options.rows) if (row["task"], row["seed"]) == (name, seed)
            }

            def keep(row: dict) -> None:
                add_row(options.rows, row)
                print(f"{row['task']} {row['seed']} {row['action']}: {row['seconds']} s", file=sys.stderr)

            enumerate_task(name, read_splits(TASKS[name].data, directories), seed, done, keep)
    options.table.write_text(json.dumps(table_of(read_rows(options.rows)), separators=(",", ":")) + "\n")
    return options.table
