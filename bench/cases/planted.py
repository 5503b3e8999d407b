"""Does `compare` find the first tensor that a planted fault touches, and leave clean pairs alone?"""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import multiprocessing
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from bench import machine
from bench.harness import FORMAT, RESULTS, write_result
from bench.planted.case import CLEAN, DTYPES
from bench.planted.faults import FAULTS
from bench.planted.sample import measure_case
from bench.planted.table import summarise, text

HELD_OUT = 10_000
"""Seeds from here on are for figures to publish; nobody looks at them while building."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="a handful of cases")
    parser.add_argument("--seeds", type=_seeds, default=range(10), help="A:B, without B; 0:1000 for building")
    parser.add_argument("--kinds", nargs="+", choices=[*CLEAN, *FAULTS], help="default: all")
    parser.add_argument("--dtypes", nargs="+", choices=sorted(DTYPES), default=list(DTYPES))
    parser.add_argument(
        "--clean-share",
        type=int,
        default=10,
        help="clean pairs for each seed and dtype; the other kinds without a fault have one",
    )
    parser.add_argument("--judge-alone", action="store_true", help="with perfect pairs and layouts")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--text", type=Path, help="also write the figures and failures as text, here")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", help="name of the result, where it should differ from the case's")


def run(options: argparse.Namespace) -> Path:
    """Measure, summarise, write."""
    seeds = range(1) if options.toy else options.seeds
    kinds = options.kinds or ("clean", "scale_missing", "nan_born") if options.toy else options.kinds
    tasks = list(_tasks(seeds, kinds or [*CLEAN, *FAULTS], options))
    started = time.perf_counter()
    samples = _measured(tasks, 1 if options.toy else options.jobs)
    seconds = time.perf_counter() - started
    rows = summarise(samples)
    page = text(rows, samples)
    print(page if not options.toy else page.partition("\n\n")[0], file=sys.stderr, flush=True)
    if options.text is not None:
        options.text.parent.mkdir(parents=True, exist_ok=True)
        options.text.write_text(page)
    record: dict[str, Any] = {
        "format": FORMAT,
        "case": "planted",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "seeds": [seeds.start, seeds.stop],
        "are_held_out": seeds.start >= HELD_OUT,
        "judge_alone": options.judge_alone,
        "kinds": len({task[1] for task in tasks} - set(CLEAN)),
        "seconds": seconds,
        "cases_per_minute": 60 * len(samples) / seconds,
        "summary": rows,
        "samples": samples,
    }
    return write_result(record, options.results, options.name or "planted")


def _tasks(
    seeds: range, kinds: Iterable[str], options: argparse.Namespace
) -> Iterable[tuple[int, str, str, bool]]:
    for seed in seeds:
        for kind in kinds:
            for dtype in options.dtypes:
                # Clean pairs share the seed's number space: seed 7 has 70..79.
                many = options.clean_share if kind == "clean" and not options.toy else 1
                for number in range(many):
                    yield seed * many + number, kind, dtype, options.judge_alone


def _measured(tasks: list[tuple[int, str, str, bool]], jobs: int) -> list[dict[str, Any]]:
    if jobs == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return [measure_case(task) for task in tasks]
        finally:
            torch.set_num_threads(threads)
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.imap(measure_case, tasks, chunksize=8))


def _seeds(given: str) -> range:
    first, _, end = given.partition(":")
    return range(int(first), int(end))
