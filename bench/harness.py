"""Measurements in rounds, each in a fresh process under a cgroup, with disk probes between; one JSON file."""

__all__ = ["Bench", "add_arguments", "rotated", "write_result"]

import argparse
import dataclasses
import datetime
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import machine
from bench.child import Spec, measure
from bench.figures import failure, token_seconds
from bench.limit import run_limited
from bench.models import SHAPES, bench_directory, make_checkpoint, weight_files, weights_bytes
from bench.probe import Probe, probe_disk
from bench.systems import SYSTEMS

FORMAT = 1
RESULTS = Path(__file__).parent / "results"
_HEADROOM = (
    900_000_000  # imports, activations, page tables and a little page cache; the same for every system
)


def add_arguments(parser: argparse.ArgumentParser, *, rounds: int, model: str = "tinyllama") -> None:
    """The options that every case takes."""
    parser.add_argument("--toy", action="store_true", help="a tiny model, one round, all in this process")
    parser.add_argument("--model", choices=sorted(SHAPES), default=model, help="shape of the random model")
    parser.add_argument("--rounds", type=int, default=rounds, help="how often everything is measured")
    parser.add_argument("--seed", type=int, default=0, help="of the prompt")
    parser.add_argument("--timeout", type=float, default=1200.0, help="seconds for one measured process")
    parser.add_argument(
        "--headroom", type=int, default=_HEADROOM, help="bytes of the limit beyond the budget"
    )
    parser.add_argument("--unlimited", action="store_true", help="go on where no memory limit can be set")
    parser.add_argument("--warm", action="store_true", help="leave the page cache as it is")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", help="name of the result, where it should differ from the case's")


def rotated(items: Sequence[Any], by: int) -> list[Any]:
    """The same items, another one first: no system has the same place in every round."""
    by %= max(1, len(items))
    return [*items[by:], *items[:by]]


class Bench:
    """One case being measured: the model, the samples so far, the probes between them."""

    def __init__(self, case: str, options: argparse.Namespace, *, model: str | None = None) -> None:
        self.case = case
        self.options = options
        self.model_name = "toy" if options.toy else model or options.model
        self.shape = SHAPES[self.model_name]
        self.rounds = 1 if options.toy else options.rounds
        self.samples: list[dict[str, Any]] = []
        self.probes: list[dict[str, Any]] = []
        self.say(f"model {self.model_name}: {self.shape.nbytes / 1e9:.3f} GB in {bench_directory()}")
        self.model = make_checkpoint(self.model_name)
        self.work = bench_directory() / "copies"
        self.files = weight_files(self.model)
        self.weights_bytes = weights_bytes(self.model)

    def say(self, text: str) -> None:
        """Progress, on stderr."""
        print(f"[{self.case}] {text}", file=sys.stderr, flush=True)

    def probe(self) -> Probe:
        """What the disk gives now."""
        found = probe_disk(self.files)
        self.probes.append({**dataclasses.asdict(found), "best": found.best, "sustained": found.sustained})
        self.say(f"disk probe: best {found.best / 1e9:.2f} GB/s, sustained {found.sustained / 1e9:.2f} GB/s")
        return found

    def prepare(self, systems: Sequence[str]) -> None:
        """Let systems that need a copy of the weights write it, once; not limited, not compared."""
        for name in systems:
            if SYSTEMS[name].has_copy:
                self.say(f"preparing {name}")
                sample = self._run(
                    Spec(system=name, model=str(self.model), work=str(self.work), prepare=True), None
                )
                self.samples.append({**sample, "label": f"{name} prepare"})

    def measure(
        self,
        system: str,
        *,
        round_number: int,
        label: str | None = None,
        limit_bytes: int | None,
        **spec: Any,
    ) -> dict[str, Any]:
        """One run in a process of its own; the sample is kept and returned, errors included."""
        if self.options.toy:
            spec |= {"prompt_tokens": 16, "decode_tokens": min(3, spec.get("decode_tokens", 3))}
        chosen = Spec(
            system=system,
            model=str(self.model),
            work=str(self.work),
            seed=self.options.seed,
            cold=not self.options.warm,
            **spec,
        )
        sample = self._run(chosen, limit_bytes)
        sample |= {"label": label or system, "round": round_number}
        self.samples.append(sample)
        problem = failure(sample)
        figures = problem or (
            f"open {sample['open']['seconds']:.2f} s, prefill {sample['prefills'][0]['seconds']:.2f} s, "
            f"{token_seconds(sample):.4f} s/token"
        )
        self.say(f"round {round_number}: {sample['label']}: {figures}")
        return sample

    def limit(self, budget_bytes: int) -> int:
        """The memory limit that goes with a weight budget, the same for every system measured beside it."""
        return budget_bytes + int(self.options.headroom)

    def budget(self, fraction: float) -> int:
        """So much of the weights, in bytes."""
        return round(self.weights_bytes * fraction)

    def _run(self, spec: Spec, limit_bytes: int | None) -> dict[str, Any]:
        if self.options.toy:
            return {"spec": _plain(spec), **measure(spec)}
        with tempfile.TemporaryDirectory(prefix="outgrow-bench-") as directory:
            given, found = Path(directory) / "spec.json", Path(directory) / "record.json"
            given.write_text(json.dumps(dataclasses.asdict(spec)))
            ended = run_limited(
                [sys.executable, "-W", "ignore", "-m", "bench.child", str(given), str(found)],
                limit_bytes=limit_bytes,
                allow_unlimited=self.options.unlimited,
                timeout_seconds=self.options.timeout,
                environment=_environment(),
                quiet=True,
            )
            record = json.loads(found.read_text()) if found.exists() else {}
        if not record:
            how = "timed out" if ended.timed_out else f"ended with code {ended.returncode}"
            text = f"the process {how}, {ended.oom_kills} OOM kills: {ended.output_tail}"
            record = {"system": spec.system}
            record["error"] = {
                "phase": "process",
                "type": "Ended",
                "text": text,
                "traceback": ended.output_tail,
            }
        return {**record, "spec": _plain(spec), "limited": dataclasses.asdict(ended)}

    def finish(self, summary: Sequence[dict[str, Any]], *, show: Sequence[str], **more: Any) -> Path:
        """Write the result file and return its path; say the figures named in `show`."""
        about = machine.machine()
        record = {
            "format": FORMAT,
            "case": self.case,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": ["python", "-m", "bench", *sys.argv[1:]],
            "commit": machine.commit(),
            "versions": machine.versions(),
            "machine": about,
            "cache": "warm" if self.options.warm else "cold",
            "toy": bool(self.options.toy),
            "model": {
                "name": self.model_name,
                **dataclasses.asdict(self.shape),
                "weights_bytes": self.weights_bytes,
                "checkpoint_files": len(self.files),
            },
            "rounds": self.rounds,
            **more,
            "summary": summary,
            "probes": self.probes,
            "samples": self.samples,
        }
        for row in summary:
            self.say(_brief({key: row[key] for key in show if key in row} | _failures(row)))
        path = write_result(record, self.options.results, self.options.name or self.case)
        self.say(f"written {path}")
        return path


def write_result(record: dict[str, Any], directory: Path, case: str) -> Path:
    """Write `<machine>-<date>-<case>.json` atomically; a second one of the same day gets a number."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = f"{machine.machine_name(record['machine'])}-{record['date'][:10]}-{case}"
    path, number = directory / f"{stem}.json", 1
    while path.exists():
        number += 1
        path = directory / f"{stem}-{number}.json"
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_text(json.dumps(machine.without_paths(record), indent=1) + "\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _failures(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("failures", "failure") if row.get(key)}


def _brief(row: dict[str, Any]) -> str:
    """One line of a summary's row: medians and plain values."""
    parts = []
    for key, value in row.items():
        if isinstance(value, dict) and "median" in value:
            value = value["median"]
        if isinstance(value, float):
            value = f"{value:,.0f}" if key.endswith("_bytes") else f"{value:.4g}"
        if value is not None and value != [] and not isinstance(value, dict):
            parts.append(f"{key} {value}")
    return "; ".join(parts)


def _plain(spec: Spec) -> dict[str, Any]:
    """The spec without directories of this machine."""
    return {**dataclasses.asdict(spec), "model": Path(spec.model).name, "work": Path(spec.work).name}


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
