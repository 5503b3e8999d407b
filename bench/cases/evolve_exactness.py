"""Do random sequences of changes leave the outputs where they were, and do all come back bit for bit?"""

__all__ = ["add_arguments", "run"]

import argparse
import collections
import datetime
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from bench import machine
from bench.evolve_exactness.drawn_models import draw_models, make_drawn
from bench.evolve_exactness.real_models import load_real
from bench.evolve_exactness.sequence import run_sequence
from bench.evolve_exactness.small_models import SMALL_MODELS
from bench.harness import FORMAT, RESULTS, write_result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="one short sequence of two models")
    parser.add_argument("--sequences", type=int, default=700, help="on the models known beforehand")
    parser.add_argument("--drawn", type=int, default=40, help="models of transformers drawn without looking")
    parser.add_argument("--each", type=int, default=10, help="sequences on each of those")
    parser.add_argument(
        "--real", type=Path, nargs="*", default=[], help="folders of trained models, one sequence each"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long, and say so")
    parser.add_argument("--length", type=int, default=4, help="changes of a sequence")
    parser.add_argument("--seed", type=int, default=0, help="of the models drawn and of all changes")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")


def run(options: argparse.Namespace) -> Path:
    """Sequences on known models, then on drawn ones; half in double and half in single precision."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if options.toy:
        options.sequences, options.drawn, options.each, options.length = 2, 0, 1, 2
    names = sorted(SMALL_MODELS)
    samples: list[dict[str, Any]] = []
    ends = time.monotonic() + 60 * options.minutes
    for number in range(options.sequences):
        if time.monotonic() > ends:
            break
        name = names[number % len(names)]
        torch.manual_seed(options.seed + number)
        sample = run_sequence(
            SMALL_MODELS[name](), _dtype(number // len(names)), options.length, options.seed + number
        )
        samples.append({"model": name, "is_drawn": False, **sample})
        _tell(samples)
    drawn = draw_models(options.drawn, options.seed) if options.drawn else []
    for number in range(options.each):
        for place, (kind, name) in enumerate(drawn):
            if time.monotonic() > ends:
                break
            seed = options.seed + number * len(drawn) + place  # no two models are changed alike
            sample = run_sequence(
                make_drawn(kind, name, number), _dtype(number + place), options.length, seed
            )
            samples.append({"model": name, "is_drawn": True, **sample})
            _tell(samples)
    for folder in options.real:
        sample = run_sequence(load_real(folder), torch.float32, options.length, options.seed)
        samples.append({"model": folder.name, "is_drawn": False, "is_real": True, **sample})
        print(samples[-1], file=sys.stderr, flush=True)
    result = {
        "format": FORMAT,
        "case": "evolve_exactness",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": [
            "python",
            "-m",
            "bench",
            *(Path(one).name if "/" in one else one for one in sys.argv[1:]),
        ],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": options.toy,
        "length": options.length,
        "is_whole": len(samples) == options.sequences + len(drawn) * options.each + len(options.real),
        "summary": {
            "known": summary([one for one in samples if not one["is_drawn"] and "is_real" not in one]),
            "real": summary([one for one in samples if "is_real" in one]),
            "drawn": summary([one for one in samples if one["is_drawn"]]),
            "models_drawn": [name for _kind, name in drawn],
        },
        "samples": samples,
    }
    return write_result(result, options.results, "evolve_exactness")


def summary(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of verdicts by operator, and the farthest that an exact change moved an output."""
    verdicts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    farthest: dict[str, float] = collections.defaultdict(float)
    for sample in samples:
        for change in sample["changes"]:
            verdicts[change["operator"]][change["verdict"]] += 1
            if change["verdict"] == "exact":
                farthest[sample["dtype"]] = max(farthest[sample["dtype"]], change["moved"])
    return {
        "sequences": len(samples),
        "models": len({sample["model"] for sample in samples}),
        "changes": {operator: dict(counts) for operator, counts in sorted(verdicts.items())},
        "wrong": sum(counts["wrong"] for counts in verdicts.values()),
        "farthest_exact": dict(farthest),
        "not_back": sum(not sample["is_back"] for sample in samples),
        "new_units_moved": sum(sample["new_units"]["moved"] for sample in samples),
        "new_units_still": sum(sample["new_units"]["still"] for sample in samples),
    }


def _dtype(number: int) -> torch.dtype:
    return torch.float32 if number % 2 else torch.float64


def _tell(samples: list[dict[str, Any]]) -> None:
    if len(samples) % 25 == 0:
        print(len(samples), summary(samples), file=sys.stderr, flush=True)
