"""Tokens per second over budgets, from a twentieth of the weights to all: the floor case, denser."""

__all__ = ["add_arguments", "run"]

import argparse
from pathlib import Path

from bench.cases.floor import SHOWN, measure_budgets, summarise
from bench.harness import Bench
from bench.harness import add_arguments as add_common

FRACTIONS = (0.05, 0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.90, 1.00, 1.10)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    add_common(parser, rounds=3)
    parser.add_argument("--fractions", type=float, nargs="+", default=FRACTIONS, help="budgets / weights")
    parser.add_argument("--tokens", type=int, default=10, help="decoded tokens where weights stream")
    parser.add_argument("--fit-tokens", type=int, default=32, help="decoded tokens where everything fits")


def run(options: argparse.Namespace) -> Path:
    """Measure, summarise, write."""
    bench = Bench("curve", options)
    fractions = (0.25, 1.10) if options.toy else options.fractions
    measure_budgets(bench, fractions, options.tokens, options.fit_tokens)
    return bench.finish(summarise(bench), show=SHOWN)
