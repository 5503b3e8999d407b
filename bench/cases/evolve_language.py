"""What growing saves on the way to the loss of a large GPT over characters of the standard library."""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import sys
import time
from pathlib import Path

import torch

from bench import machine
from bench.evolve.char_gpt import GptSize
from bench.evolve.corpus import read_corpus
from bench.evolve.language import BATCH, LARGE, SMALL, STEPS, LanguageArm, train_language
from bench.evolve.language_verdict import savings
from bench.evolve.ledger import Ledger
from bench.evolve.stages import Stage, Tuning, next_key
from bench.evolve.statistics import mean_interval
from bench.harness import FORMAT, RESULTS, write_result
from bench.models import bench_directory

_TUNING = Tuning(rates=(0.001, 0.002, 0.004), budget=0.5, seeds=(0,))
_STAGES = (
    Stage(arms=("large",), seeds=3, tuning=_TUNING),
    Stage(arms=("grown",), budget=0.5, seeds=3, tuning=_TUNING),
    Stage(arms=("grown",), budget=0.3, seeds=3, tuning=_TUNING),
    # With the rate that the two others chose.
    Stage(
        arms=("small",), budget=0.5, seeds=3, tuning=Tuning(rates=(0.002,), budget=0.5, seeds=(0,), most=1)
    ),
)
_TOY_TUNING = Tuning(rates=(0.002,), seeds=(0,), most=1)
_TOY = GptSize(layers=2, heads=4, inner=16, hidden=16, head_dim=8, length=16)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="a tiny model, a few steps")
    parser.add_argument("--ledger", type=Path, help="file of finished runs, from which a killed case goes on")
    parser.add_argument("--minutes", type=float, help="start no run later than this; say what is missing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")


def run(options: argparse.Namespace) -> Path:
    """Make the runs that are missing, then compare all there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _run(options)
    finally:
        torch.set_num_threads(threads)


def _run(options: argparse.Namespace) -> Path:
    small, goal, steps, stages = SMALL, LARGE, STEPS, _STAGES
    if options.toy:
        small = GptSize(layers=1, heads=2, inner=8, hidden=16, head_dim=8, length=16)
        goal, steps = _TOY, 6
        stages = (Stage(arms=("large", "grown"), seeds=1, tuning=_TOY_TUNING),)
    arms = {
        "large": LanguageArm(start=goal),
        "small": LanguageArm(start=small),
        "grown": LanguageArm(start=small, grows_at=0.3),
    }
    ledger = Ledger(options.ledger or bench_directory() / f"evolve_language{'-toy' * options.toy}.jsonl")
    corpus = read_corpus()
    began = time.monotonic()
    for key in next_key(ledger, stages):
        if options.minutes is not None and time.monotonic() - began > 60 * options.minutes:
            break
        row = ledger.add(key, train_language(key, arms[key.arm], corpus, goal, steps))
        print(
            f"[evolve_language] {key.arm} {key.budget:g}x lr {key.lr:g} seed {key.seed} {key.split}: "
            f"held-out {row['validation']['ce']:.4f} nats, {row['steps']} steps, {row['cpu_seconds']:.1f} s",
            file=sys.stderr,
            flush=True,
        )
    summary, missing = [], 0
    for stage in stages:
        for arm in stage.arms:
            rows = ledger.find(arm=arm, budget=stage.budget, split="final")
            missing += stage.seeds - len(rows)
            if rows:
                summary.append(
                    {
                        "what": "arm",
                        "arm": arm,
                        "budget": stage.budget,
                        "lr": rows[0]["key"]["lr"],
                        "held_out_ce": mean_interval([row["validation"]["ce"] for row in rows]),
                        "macs": mean_interval([row["macs"] for row in rows])["mean"],
                        "cpu_seconds": mean_interval([row["cpu_seconds"] for row in rows])["mean"],
                        "characters": rows[0]["characters"],
                        "parameters": rows[0]["parameters"],
                    }
                )
    summary += savings(ledger, "grown", "large")
    for line in summary:
        print(line, file=sys.stderr)
    result = {
        "format": FORMAT,
        "case": "evolve_language",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": options.toy,
        "partial": missing > 0,
        "missing_runs": missing,
        "corpus": {
            "characters": [len(corpus.train), len(corpus.held_out)],
            "files": corpus.files,
            "digest": corpus.digest,
        },
        "batch": [BATCH, goal.length],
        "summary": summary,
        "samples": list(ledger.rows.values()),
    }
    return write_result(result, options.results, "evolve_language")
