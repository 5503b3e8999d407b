"""What do the tests look at, of all that decides? Branches that they take, and small mistakes they miss."""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import fnmatch
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import machine
from bench.deciding import PARTS, SOURCES, Part, modules
from bench.harness import FORMAT, RESULTS, write_result

_ROOT = SOURCES.parent.parent
_KILLED, _SURVIVED = {1, 3}, {0}
_TIMEOUT = {36, 24, -24, 152, 255}
"""How mutmut writes down what a mutant came to: a test failed, none did, none came to an end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="one small module")
    parser.add_argument("--only", nargs="+", default=["*"], help="names of parts, with * and ?")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument(
        "--least", type=float, default=0.0, help="percent of the branches of what is held to it"
    )
    parser.add_argument("--mutants", type=Path, nargs="+", default=[], help="folders that mutmut has written")
    parser.add_argument("--judged", type=Path, nargs="+", default=[], help="JSON: why survivors do no harm")
    parser.add_argument(
        "--counted", type=Path, help="JSON: what mutants of more modules came to, from another runner"
    )
    parser.add_argument("--dry", action="store_true", help="write no result file")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", help="name of the result, where it should differ from the case's")


def run(options: argparse.Namespace) -> Path:
    """Run the tests of each part, count, write; exit with 1 where there is less than `--least`."""
    chosen = [part for part in PARTS if any(fnmatch.fnmatchcase(part.name, name) for name in options.only)]
    if options.toy:
        chosen = [Part(name="ring", modules=["stream/ring.py"], tests=["stream/test_ring.py"])]
    with tempfile.TemporaryDirectory(prefix="outgrow-deciding-") as directory:
        with ThreadPoolExecutor(options.jobs) as pool:
            seconds = list(pool.map(lambda part: _run_tests(part, Path(directory)), chosen))
        files = _files(chosen, Path(directory))
    judged = [entry for path in options.judged for entry in json.loads(path.read_text())]
    mutants = _mutants(options.mutants, {entry["mutant"] for entry in judged})
    if options.counted:
        mutants |= {
            module: Counter(found) for module, found in json.loads(options.counted.read_text()).items()
        }
    summary = [
        _row(part, [files[path] for path in modules(part)], mutants, took)
        for part, took in zip(chosen, seconds, strict=True)
    ]
    for row in summary:
        print(_line(row), file=sys.stderr, flush=True)
    record = {
        "format": FORMAT,
        "case": "deciding",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "summary": summary,
        "equivalent": judged,
        "samples": [{"module": _module(path), **files[path]} for part in chosen for path in modules(part)],
    }
    name = options.name or "deciding"
    path = Path(os.devnull) if options.dry else write_result(record, options.results, name)
    low = [row["part"] for row in summary if row["is_held"] and row["branches_percent"] < options.least]
    if low:
        sys.exit(f"error: fewer than {options.least} % of the branches are taken: {', '.join(low)}")
    return path


def _run_tests(part: Part, directory: Path) -> float:
    """Run the tests of `part` under coverage, data below `directory`; how many seconds that took."""
    started = time.perf_counter()
    sources = sorted({str(path.parent) for path in modules(part)})
    tests = [str(_ROOT / "tests" / test) for test in part.tests]
    command = [sys.executable, "-m", "coverage", "run", "--source", ",".join(sources), "-m", "pytest"]
    options = ["-n0", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-m", "not slow"]
    data = directory / f".coverage.{part.name.replace(' ', '-')}"
    ended = subprocess.run(
        [*command, *options, *tests],
        check=False,
        capture_output=True,
        text=True,
        cwd=_ROOT,
        env={**os.environ, "COVERAGE_FILE": str(data), "OMP_NUM_THREADS": "1"},
    )
    if ended.returncode:
        raise OSError(f"the tests of {part.name!r} failed:\n{ended.stdout[-4000:]}{ended.stderr[-1000:]}")
    return time.perf_counter() - started


def _files(parts: Sequence[Part], directory: Path) -> dict[Path, dict[str, Any]]:
    """What coverage has counted in each module; what one part's tests take of another's counts too."""
    paths = [path for part in parts for path in modules(part)]
    environment = {**os.environ, "COVERAGE_FILE": str(directory / ".coverage")}
    coverage = [sys.executable, "-m", "coverage"]
    report = directory / "report.json"
    wanted = ",".join(map(str, paths))
    for words in (["combine", "-q", str(directory)], ["json", "-q", "--include", wanted, "-o", str(report)]):
        subprocess.run([*coverage, *words], check=True, cwd=_ROOT, env=environment, capture_output=True)
    found = {_ROOT / name: file for name, file in json.loads(report.read_text())["files"].items()}
    return {
        path: {
            "statements": found[path]["summary"]["num_statements"],
            "statements_run": found[path]["summary"]["covered_lines"],
            "branches": found[path]["summary"]["num_branches"],
            "branches_taken": found[path]["summary"]["covered_branches"],
            "missing_lines": found[path]["missing_lines"],
            "missing_branches": found[path]["missing_branches"],
        }
        for path in paths
    }


def _mutants(folders: Sequence[Path], judged: set[str]) -> dict[str, Counter[str]]:
    """How many mutants of each module came to what, from the files in which mutmut keeps it."""
    found: dict[str, Counter[str]] = {}
    for path in (path for folder in folders for path in sorted(folder.rglob("*.py.meta"))):
        for name, code in json.loads(path.read_text())["exit_code_by_key"].items():
            module, _, _ = name.rpartition(".x")
            found.setdefault(module, Counter())[_came_to(code, name in judged)] += 1
    return found


def _came_to(code: int | None, is_judged: bool) -> str:
    if code in _KILLED:
        return "killed"
    if code in _TIMEOUT:
        return "timeout"
    if code in _SURVIVED:
        return "equivalent" if is_judged else "survived"
    return "not looked at"


def _row(part: Part, files: Sequence[dict[str, Any]], mutants: dict[str, Counter[str]], took: float) -> Any:
    counts = {
        key: sum(file[key] for file in files)
        for key in ("statements", "statements_run", "branches", "branches_taken")
    }
    changed: Counter[str] = sum((mutants.get(_module(path), Counter()) for path in modules(part)), Counter())
    return {
        "part": part.name,
        "is_held": part.is_held,
        "modules": len(files),
        **counts,
        "statements_percent": _percent(counts["statements_run"], counts["statements"]),
        "branches_percent": _percent(counts["branches_taken"], counts["branches"]),
        "mutants": {"total": changed.total(), **changed} if changed else None,
        "seconds": round(took, 1),
    }


def _percent(some: int, of: int) -> float:
    return round(100 * some / of, 2) if of else 100.0


def _module(path: Path) -> str:
    """Its name as Python's imports have it."""
    return ".".join(path.relative_to(SOURCES.parent).with_suffix("").parts)


def _line(row: dict[str, Any]) -> str:
    mutants = ", ".join(f"{many} {word}" for word, many in (row["mutants"] or {}).items())
    return (
        f"{row['part']:18} {row['modules']:3} modules  {row['statements_percent']:6.2f} % of statements  "
        f"{row['branches_percent']:6.2f} % of {row['branches']:4} branches  {row['seconds']:.0f} s  {mutants}"
    )
