"""How long does it take to find how two tensors lie to each other, and is it right, also under a fault?"""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench import machine
from bench.figures import spread
from bench.harness import FORMAT, RESULTS, write_result
from bench.matching.grid import LAYOUTS, Held, Sizes
from bench.matching.numbers import FAULTS, KINDS, add_noise
from outgrow.capture.recording import Record
from outgrow.compare.layout import StageLayout, find_stage_layouts
from outgrow.compare.pair import Pair

NOISES = (0.0, 1e-2, 1e-1)
ELEMENTS = (2**13, 2**16, 2**20)
"""At most so many numbers on the larger side, all ranks together, if there are to be some tokens."""
FAULT_NOISE = 1e-2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="three layouts of the smallest size")
    parser.add_argument("--seeds", type=int, default=1, help="how often, with other numbers and sizes")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", help="name of the result, where it should differ from the case's")


def run(options: argparse.Namespace) -> Path:
    """Search every combination once, in this process with one thread; no call is warmed up for."""
    names = ("heads first", "partial sums", "value of concatenated") if options.toy else options.layouts
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    samples: list[dict[str, Any]] = []
    try:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for name in names:
                samples.extend(_of_layout(name, seed, ELEMENTS[:1] if options.toy else ELEMENTS))
                print(f"[axis_matching] seed {seed}: {name}: {_brief(samples, name)}", file=sys.stderr)
    finally:
        torch.set_num_threads(threads)
    summary = _summary(samples)
    for row in summary:
        print("[axis_matching]", row, file=sys.stderr)
    record = {
        "format": FORMAT,
        "case": "axis_matching",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "rounds": options.seeds,
        "threads": 1,
        "load_average": os.getloadavg(),
        "summary": summary,
        "samples": samples,
    }
    return write_result(record, options.results, options.name or "axis_matching")


def _of_layout(name: str, seed: int, elements: Sequence[int]) -> Iterator[dict[str, Any]]:
    held = LAYOUTS[name]
    for count in elements:
        for ranks in held.ranks:
            for kind in KINDS:
                generator = torch.Generator().manual_seed(seed * 1000 + count % 997 + ranks)
                sizes = _sizes(held, ranks, count, generator)
                x = KINDS[kind](sizes, generator)
                where = {"layout": name, "ranks": ranks, "kind": kind, "seed": seed, "sizes": sizes.shape}
                for noise in NOISES:
                    wrong = add_noise(x, noise, generator)
                    yield {**where, "noise": noise, "fault": None, **_searched(held, x, wrong, ranks)}
                for fault, plant in FAULTS.items():
                    wrong = plant(add_noise(x, FAULT_NOISE, generator), generator)
                    sample = _searched(held, x, wrong, ranks)
                    yield {**where, "noise": FAULT_NOISE, "fault": fault, **sample}
                if ranks > 1 and name not in ("replicated", "partial sums", "copies of shards"):
                    wrong = add_noise(x, FAULT_NOISE, generator)
                    sample = _searched(held, x, wrong, ranks, reverse=True)
                    yield {**where, "noise": FAULT_NOISE, "fault": "ranks in reverse", **sample}


def _sizes(held: Held, ranks: int, elements: int, generator: torch.Generator) -> Sizes:
    """Sizes such that neither side has more than so many numbers; drawn, so that factors differ."""
    heads = (8, 16)[int(torch.randint(2, (), generator=generator))]
    size = (16, 32, 48)[int(torch.randint(3, (), generator=generator))]
    most = elements // (held.batch * heads * size * held.holds)
    tokens = max(ranks * 3, most - most % ranks - ranks * int(torch.randint(3, (), generator=generator)))
    # Equal shapes are never permuted, so a layout that only exchanges equal dims is not to be found.
    while tokens in (heads, size, heads * size, heads * size // ranks, held.batch):
        tokens += ranks
    return Sizes(batch=held.batch, tokens=tokens, heads=heads, size=size)


def _searched(held: Held, x: Tensor, wrong: Tensor, ranks: int, *, reverse: bool = False) -> dict[str, Any]:
    """One search; whether it is right is seen on the numbers without noise and fault."""
    expected, clean, given = held.expected(x), held.actual(x, ranks), held.actual(wrong, ranks)
    pair = _pair(expected, given[::-1] if reverse else given, held)
    wall, cpu = time.perf_counter(), time.thread_time()
    (found,) = find_stage_layouts([pair])
    wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
    return {
        "seconds": wall,
        "cpu_seconds": cpu,
        "elements": max(expected.numel(), sum(part.numel() for part in given)),
        "outcome": _outcome(found, expected, clean),
        "found": None if found.layout is None else found.layout.describe(),
    }


def _outcome(found: StageLayout, expected: Tensor, clean: Sequence[Tensor]) -> str:
    if found.layout is None:
        return "refused"
    actual, wanted = found.layout.apply(clean), found.expected_layout.apply([expected])
    # Only partial sums are rounded; everything else has to be the same bits.
    is_right = actual.shape == wanted.shape and torch.allclose(actual, wanted, rtol=0, atol=1e-4)
    return "right" if is_right else "wrong"


def _pair(expected: Tensor, actual: Sequence[Tensor], held: Held) -> Pair:
    return Pair(
        expected=_record(expected),
        actual=tuple(_record(part) for part in actual),
        stage=held.stage,
        layer=0,
        how="single",
        fused=held.fused,
    )


def _record(tensor: Tensor) -> Record:
    return Record(
        name="tensor", sequence=0, dtype=tensor.dtype, shape=tuple(tensor.shape), read=lambda: tensor
    )


def _summary(samples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of all, then of each noise and of each fault."""
    groups: dict[str, list[dict[str, Any]]] = {"without fault": [], "with fault": [], "all": []}
    for sample in samples:
        groups["all"].append(sample)
        fault = sample["fault"]
        groups["with fault" if fault else "without fault"].append(sample)
        groups.setdefault(fault or f"noise {sample['noise']:g}", []).append(sample)
    return [{"group": name, **_figures(group)} for name, group in groups.items()]


def _figures(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    outcomes = [sample["outcome"] for sample in samples]
    figures: dict[str, Any] = {"searches": len(samples)}
    for outcome in ("right", "refused", "wrong"):
        figures[outcome] = outcomes.count(outcome)
    for key in ("seconds", "cpu_seconds"):
        values = [sample[key] for sample in samples]
        cuts = statistics.quantiles(values, n=20, method="inclusive") if len(values) > 1 else values * 19
        figures[key] = {"p50": cuts[9], "p95": cuts[18], "max": max(values)}
    return figures


def _brief(samples: Sequence[dict[str, Any]], name: str) -> str:
    mine = [sample for sample in samples if sample["layout"] == name]
    clean = _figures([sample for sample in mine if not sample["fault"]])
    wrong = _figures([sample for sample in mine if sample["fault"]])
    median = spread([sample["seconds"] for sample in mine])["median"]
    return (
        f"clean {clean['right']}/{clean['searches']}; faults: right {wrong['right']}, "
        f"refused {wrong['refused']}, wrong {wrong['wrong']}; median {1e3 * median:.1f} ms"
    )
