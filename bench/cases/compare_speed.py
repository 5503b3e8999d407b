"""How long do two dumps take to compare, against reading both once from memory and from disk?"""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from bench import compare_run, machine
from bench.figures import spread
from bench.harness import FORMAT, RESULTS, write_result
from bench.models import bench_directory
from bench.probe import probe_disk

_ROOT = Path(__file__).resolve().parents[2]
_STAGES = (
    "post_ln_pre_attn", "query", "key", "value", "query_final", "key_final", "value_final", "post_attn",
    "pre_mlp", "post_mlp",
)  # fmt: skip
_COLUMNS = 1024
DTYPES = ("float32", "bfloat16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="small dumps, one round, all in this process")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured")
    parser.add_argument("--elements", type=int, default=500_000_000, help="of each dump")
    parser.add_argument("--layers", type=int, default=32, help="of each dump, a file each")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--keep", action="store_true", help="leave the dumps where they are")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", default="compare_speed", help="name of the result")


def run(options: argparse.Namespace) -> Path:
    """Make the dumps, compare them in rounds, warm and cold, with disk probes between; write the result."""
    elements, layers = (200_000, 2) if options.toy else (options.elements, options.layers)
    rounds = 1 if options.toy else options.rounds
    samples: list[dict[str, Any]] = []
    for dtype in options.dtypes:
        folder = bench_directory() / "compare_speed" / dtype
        try:
            _make(folder, getattr(torch, dtype), elements, layers)
            for number in range(rounds):
                for cold in (False, True):
                    found = _measure(folder, dtype, number, cold=cold, toy=options.toy)
                    samples += found
                    print(f"[compare_speed] {found[-1]}", file=sys.stderr, flush=True)
        finally:
            if not options.keep:
                shutil.rmtree(folder, ignore_errors=True)
    about = machine.machine()
    record = {
        "format": FORMAT,
        "case": "compare_speed",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": about,
        "toy": bool(options.toy),
        "rounds": rounds,
        "dump": {"elements": elements, "layers": layers, "tensors": layers * len(_STAGES)},
        "summary": [
            _row([s for s in samples if s["dtype"] == dtype and s["cold"] == cold], dtype, elements)
            for dtype in options.dtypes
            for cold in (False, True)
        ],
        "samples": samples,
    }
    return write_result(record, options.results, options.name)


def _make(folder: Path, dtype: torch.dtype, elements: int, layers: int) -> None:
    """Two dumps that differ by noise, as two frameworks do; a safetensors file for each layer."""
    complete = folder / f"complete-{elements}-{layers}"
    if complete.exists():
        return
    rows = max(1, elements // layers // len(_STAGES) // _COLUMNS)
    numbers, noise = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    for layer in range(layers):
        sides: dict[str, dict[str, torch.Tensor]] = {"expected": {}, "actual": {}}
        for stage in _STAGES:
            expected = torch.randn(rows, _COLUMNS, generator=numbers)
            actual = expected + 1e-6 * torch.randn(rows, _COLUMNS, generator=noise)
            sides["expected"][f"{layer}_{stage}"] = expected.to(dtype)
            sides["actual"][f"{layer}_{stage}"] = actual.to(dtype)
        for side, tensors in sides.items():
            (folder / side).mkdir(parents=True, exist_ok=True)
            save_file(tensors, folder / side / f"layer{layer:03}.safetensors")
    complete.touch()
    os.sync()


def _measure(folder: Path, dtype: str, number: int, *, cold: bool, toy: bool) -> list[dict[str, Any]]:
    files = sorted(folder.rglob("*.safetensors"))
    spec = {
        "expected": str(folder / "expected"), "actual": str(folder / "actual"), "cold": cold,
        "repeats": 1 if cold or toy else 3,
    }  # fmt: skip
    before = _disk(files) if cold else None
    if toy:
        found = compare_run.run(spec)
    else:
        command = [sys.executable, "-W", "ignore", "-m", "bench.compare_run", json.dumps(spec)]
        paths = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise OSError(f"the measured process ended with code {done.returncode}: {done.stderr[-2000:]}")
        found = json.loads(done.stdout.splitlines()[-1])
    disk = {"disk_bytes_per_second": max(before, _disk(files))} if before else {}
    common = {key: value for key, value in found.items() if key != "samples"}
    about = {"dtype": dtype, "round": number, "cold": cold, "bytes": sum(f.stat().st_size for f in files)}
    return [{**about, **common, **disk, **sample} for sample in found["samples"]]


def _disk(files: list[Path]) -> float:
    return probe_disk(files).best if sum(f.stat().st_size for f in files) > 1 << 28 else 1e9


def _row(samples: list[dict[str, Any]], dtype: str, elements: int) -> dict[str, Any]:
    seconds = [s["compare_seconds"] for s in samples]
    row = {
        "dtype": dtype,
        "cache": "cold" if samples[0]["cold"] else "warm",
        "bytes": samples[0]["bytes"],
        "pairs": samples[0]["pairs"],
        "verdicts": sorted({s["verdict"] for s in samples}),
        "compare_seconds": spread(seconds),
        "compare_bytes_per_second": samples[0]["bytes"] / statistics.median(seconds),
        "nanoseconds_per_element": 1e9 * statistics.median(seconds) / elements,
        "peak_anon_bytes": max(s["peak_anon_bytes"] for s in samples),
        "anon_beyond_imports_bytes": max(s["peak_anon_bytes"] - s["imported_anon_bytes"] for s in samples),
    }
    if samples[0]["cold"]:
        floors = [s["bytes"] / s["disk_bytes_per_second"] for s in samples]
        row |= {"disk_seconds": spread(floors), "disk_ratio": _ratios(seconds, floors)}
    else:
        for name in ("mapped", "copied"):
            floors = [s[f"{name}_seconds"] for s in samples]
            row |= {f"{name}_seconds": spread(floors), f"{name}_ratio": _ratios(seconds, floors)}
        alone = [s["resident_measure_seconds"] for s in samples]
        row["resident_ratio"] = _ratios(alone, [s["resident_read_seconds"] for s in samples])
        row["resident_bytes_per_second"] = samples[0]["resident_bytes"] / statistics.median(alone)
    return row


def _ratios(seconds: list[float], floors: list[float]) -> dict[str, Any]:
    """Within each sample: the machine was the same for both."""
    return spread([mine / floor for mine, floor in zip(seconds, floors, strict=True)])
