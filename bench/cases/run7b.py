"""A 7B-shaped model at a tenth of its weights: 20 tokens, against the floor."""

__all__ = ["add_arguments", "run"]

import argparse
import os
from pathlib import Path

from bench.cases.floor import SHOWN, measure_budgets, summarise
from bench.harness import Bench
from bench.harness import add_arguments as add_common
from bench.models import SHAPES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    add_common(parser, rounds=1, model="llama7b")
    parser.add_argument("--fraction", type=float, default=0.10, help="budget / weights")
    parser.add_argument("--tokens", type=int, default=20, help="decoded tokens")


def run(options: argparse.Namespace) -> Path:
    """Measure, summarise, write.

    Raises:
        MemoryError: the resident model, the reference for bits and compute, does not fit in memory.
    """
    shape = SHAPES["toy" if options.toy else options.model]
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if shape.nbytes * 1.15 + 10**9 > memory:
        raise MemoryError(
            f"the resident reference needs {shape.nbytes * 1.15 + 1e9:,.0f} bytes, {available:,} are free"
        )
    bench = Bench("run7b", options)
    measure_budgets(bench, (options.fraction,), options.tokens, options.tokens)
    return bench.finish(summarise(bench), show=SHOWN)
