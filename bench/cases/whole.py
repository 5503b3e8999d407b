"""What does one language model take in every room, which promises are kept, and how long does it all take?"""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import machine
from bench.figures import spread
from bench.harness import FORMAT, RESULTS, write_result

_FIGURES = ("seconds", "recorded_seconds", "memory_bytes", "largest_error", "share_of_rounding")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="a tiny model, once, in this process")
    parser.add_argument("--rounds", type=int, default=3, help="how often the chapter runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", default="whole", help="name of the result")


def run(options: argparse.Namespace) -> Path:
    """Run `outgrow demo whole`, each time in a process of its own; write the result."""
    samples = [_toy()] if options.toy else [_chapter(number) for number in range(options.rounds)]
    record = {
        "format": FORMAT,
        "case": "whole",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "rounds": len(samples),
        "summary": {
            "is_right": all(sample["is_right"] for sample in samples),
            "chapter_seconds": spread([sample["chapter_seconds"] for sample in samples]),
            "rooms": [_row(rows) for rows in zip(*(sample["rooms"] for sample in samples), strict=True)],
        },
        "samples": samples,
    }
    return write_result(record, options.results, options.name)


def _chapter(number: int) -> dict[str, Any]:
    load, began = os.getloadavg()[0], time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "outgrow", "demo", "whole", "--yes", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if not done.stdout:
        raise RuntimeError(f"the chapter ended with {done.returncode}: {done.stderr[-1000:]}")
    found = json.loads(done.stdout)["whole"]
    sample = {
        "round": number,
        "load_before": load,
        "load_after": os.getloadavg()[0],
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "chapter_seconds": seconds,
        "is_right": found["is_right"],
        "rooms": found["rooms"],
        "planted": {key: found["planted"][key] for key in ("is_found", "sentence")},
    }
    print(f"[whole] round {number}: {seconds:.1f} s, right: {found['is_right']}", file=sys.stderr, flush=True)
    return sample


def _toy() -> dict[str, Any]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from outgrow.cli.one_model_in_four_rooms import visit

    config = LlamaConfig(hidden_size=128, intermediate_size=192, vocab_size=4096, num_hidden_layers=6)
    with tempfile.TemporaryDirectory() as name:
        LlamaForCausalLM(config).save_pretrained(f"{name}/model")
        began = time.perf_counter()
        rows = [
            asdict(row) for row in visit(Path(name, "model"), Path(name), torch.arange(16)[None], tell=len)
        ]
        seconds = time.perf_counter() - began
    is_right = all(row["is_kept"] for row in rows)
    return {"round": 0, "chapter_seconds": seconds, "is_right": is_right, "rooms": rows}


def _row(rows: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    first = rows[0]
    kept = {key: first[key] for key in ("room", "like", "promise", "how", "pairs")}
    figures = {
        name: spread([row[name] for row in rows])
        for name in _FIGURES
        if all(row[name] is not None for row in rows)
    }
    return {
        **kept,
        "is_kept": all(row["is_kept"] for row in rows),
        "equal": [row["equal"] for row in rows],
        **figures,
    }
