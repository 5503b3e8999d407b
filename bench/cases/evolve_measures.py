"""How far off are the measures of evolve where the answer is known?"""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench import machine
from bench.evolve.known_answers import CASES, Known
from bench.harness import FORMAT, RESULTS, write_result
from outgrow.evolve.measures.dependence import measure_dependence
from outgrow.evolve.measures.estimate import Abstention, Estimate
from outgrow.evolve.measures.redundancy import debiased_cka, measure_redundancy
from outgrow.evolve.measures.relevance import measure_relevance

MEASURES: dict[str, Callable[..., Estimate | Abstention]] = {
    "relevance": measure_relevance,
    "redundancy": measure_redundancy,
    "likeness": debiased_cka,
    "dependence": measure_dependence,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="two draws of each")
    parser.add_argument("--draws", type=int, default=20, help="of each case, each with a seed of its own")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")


def run(options: argparse.Namespace) -> Path:
    """Draw each case several times, measure each draw, and hold the estimates against the truth."""
    torch.set_num_threads(1)
    draws = 2 if options.toy else options.draws
    samples: list[dict[str, Any]] = []
    for case in CASES:
        samples.extend(_sample(case, seed) for seed in range(draws))
        print(_row(case, samples), file=sys.stderr)
    result = {
        "format": FORMAT,
        "case": "evolve_measures",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": options.toy,
        "draws": draws,
        "summary": [_row(case, samples) for case in CASES],
        "samples": samples,
    }
    return write_result(result, options.results, "evolve_measures")


def _sample(case: Known, seed: int) -> dict[str, Any]:
    given = case.draw(torch.Generator().manual_seed(seed))
    began = time.process_time()
    found = MEASURES[case.measure](*given)
    seconds = time.process_time() - began
    figures = (
        {"abstained": found.reason, "value": None, "standard_error": None}
        if isinstance(found, Abstention)
        else {"abstained": None, "value": found.value, "standard_error": found.standard_error}
    )
    plain = None if case.plain is None else case.plain(*given)
    about = {"measure": case.measure, "name": case.name, "seed": seed}
    return {**about, "seconds": seconds, "plain": plain, **figures}


def _row(case: Known, samples: list[dict[str, Any]]) -> dict[str, Any]:
    mine = [one for one in samples if one["name"] == case.name and one["measure"] == case.measure]
    values = [one["value"] for one in mine if one["value"] is not None]
    plain = [one["plain"] for one in mine if one["plain"] is not None]
    return {
        "measure": case.measure,
        "name": case.name,
        "truth": case.truth,
        "mean": statistics.mean(values) if values else None,
        "spread": statistics.stdev(values) if len(values) > 1 else None,
        "standard_error": statistics.mean(one["standard_error"] for one in mine if one["value"] is not None)
        if values
        else None,
        "abstained": len(mine) - len(values),
        "draws": len(mine),
        "plain": statistics.mean(plain) if plain else None,
        "seconds": statistics.median(one["seconds"] for one in mine),
        "says": case.says,
    }
