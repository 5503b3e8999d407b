"""How soon does a browser show what `outgrow compare` says, and how fast, small and smooth is the page?"""

__all__ = ["add_arguments", "run"]

import argparse
import contextlib
import datetime
import gzip
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import outgrow.compare
from bench import machine
from bench.compare_web.dumps import make_archives, make_folders, make_rows
from bench.compare_web.figures import summary_of
from bench.compare_web.page import open_browser, open_page
from bench.compare_web.server import WebServer, command_line_seconds
from bench.harness import FORMAT, RESULTS, write_result
from bench.models import bench_directory
from bench.page_cache import cached_bytes, drop_caches

ARCHIVES = ("zip", "zip-stored", "tar.gz")
_TILE = 512
"""Pixels of a heat map in each direction, at most."""
_SETTLE_SECONDS = 4.0
"""Until a server that waits for the first call has loaded torch."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="small dumps, one round")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--bytes", type=int, default=2_000_000_000, help="of each of the two dumps")
    parser.add_argument("--layers", type=int, default=32, help="of each of them, a file each")
    parser.add_argument("--archive-bytes", type=int, default=190_000_000, help="of each archive")
    parser.add_argument("--rows", type=int, default=100_000, help="of the long list")
    parser.add_argument("--tiles", type=int, default=300, help="slices asked for in each round")
    parser.add_argument("--frames", type=int, default=600, help="of scrolling in each round")
    parser.add_argument("--static", type=Path, help="another built page than the package's")
    parser.add_argument("--realtime", action="store_true", help="run before other processes (needs root)")
    parser.add_argument("--keep", action="store_true", help="leave the dumps where they are")
    parser.add_argument("--note", default="", help="what else was going on, for the result")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", default="compare_web", help="name of the result")


def run(options: argparse.Namespace) -> Path:
    """Measure all parts in rounds, write the result.

    Raises:
        OSError: there is no browser, or the page showed an error.
    """
    if options.toy:
        options.rounds, options.bytes, options.layers, options.archive_bytes = 1, 4_000_000, 2, 2_000_000
        options.rows, options.tiles, options.frames = 300, 6, 20
    if options.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(20))
    folder = bench_directory() / "compare_web"
    samples: list[dict[str, Any]] = []
    about = {"outgrow": "the package's"} if options.static is None else {"outgrow": "another"}
    try:
        with open_browser() as browser:
            for number in range(options.rounds):
                for part in options.parts:
                    for sample in PARTS[part](options, folder, browser):
                        found = {"part": part, "round": number, "load": os.getloadavg()[0], **sample}
                        samples.append(found)
                        said = {key: value for key, value in found.items() if not isinstance(value, list)}
                        print(f"[compare_web] {said}", file=sys.stderr, flush=True)
            version = browser.version
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    record = {
        "format": FORMAT,
        "case": "compare_web",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": {**machine.versions(), "chromium": version},
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "rounds": options.rounds,
        "page": about["outgrow"],
        "scheduler": {os.SCHED_OTHER: "usual", os.SCHED_RR: "real-time, round robin"}.get(
            os.sched_getscheduler(0), "another"
        ),
        "note": options.note,
        "dump": {"bytes": options.bytes, "layers": options.layers, "archive_bytes": options.archive_bytes},
        "summary": summary_of(samples, bundle=_bundle(options)),
        "samples": samples,
    }
    return write_result(record, options.results, options.name)


def _verdict(options: argparse.Namespace, folder: Path, browser: Any) -> Iterator[dict[str, Any]]:
    """The same two dumps by the command line, by a server that is started with them, and by one that runs."""
    expected, actual = make_folders(folder / "dumps", nbytes=options.bytes, layers=options.layers)
    files = [*sorted(expected.iterdir()), *sorted(actual.iterdir())]
    for cold in (False,) if options.toy else (False, True):
        before = _cold(files) if cold else _warm(files)

        def again(cold: bool = cold) -> None:
            if cold:
                _cold(files)

        sample: dict[str, Any] = {"cold": cold, **before}
        sample["command_line_seconds"] = command_line_seconds(expected, actual)
        again()
        with _served(options, expected, actual) as server, open_page(browser) as page:
            page.open(server.url)
            at, text = page.verdict_at()
            sample |= {"from_start_seconds": at - server.started, "verdict": text[:200]}
            sample["from_start_anon_bytes"] = server.peak_anon_bytes
        with _served(options, "--root", folder / "dumps") as server, open_page(browser) as page:
            page.open(server.url)
            page.wait_for("drop-expected")
            for side, path in (("expected", expected), ("actual", actual)):
                page.call("POST", f"/sides/{side}/paths", {"path": str(path)})
            time.sleep(0.5 if options.toy else _SETTLE_SECONDS)
            again()
            page.reload()
            pressed = page.press_compare()
            at, _ = page.verdict_at()
            sample["from_press_seconds"] = at - pressed
            sample["from_press_anon_bytes"] = server.peak_anon_bytes
        again()
        sample["command_line_seconds_after"] = command_line_seconds(expected, actual)
        yield sample


def _slices(options: argparse.Namespace, folder: Path, browser: Any) -> Iterator[dict[str, Any]]:
    """Random slices of random tensors, asked for by the page; and a slider that is moved."""
    expected, actual = make_folders(folder / "dumps", nbytes=options.bytes, layers=options.layers)
    drawn = random.Random(0)
    with _served(options, expected, actual) as server, open_page(browser) as page:
        page.open(server.url)
        page.verdict_at()
        rows = page.call("GET", "/rows")
        calls = [_slice(drawn, rows) for _ in range(options.tiles)]
        seconds = page.tile_seconds(calls)
        sample: dict[str, Any] = {
            "tile_seconds": seconds,
            "strided_seconds": [
                found
                for found, (_, body) in zip(seconds, calls, strict=True)
                if _is_strided(body["expected"])
            ],
        }
        wholes = [(row, {**body, "expected": _whole(rows, row)}) for row, body in calls]
        sample["whole_seconds"] = page.tile_seconds(wholes)
        slides = []
        for name in drawn.sample([name for name in rows["expected"] if name], 4):
            page.select(name)
            row = rows["expected"].index(name)
            for _ in range(3):
                dim = drawn.randrange(len(_shape(rows, row)) - 2)
                size = _shape(rows, row)[dim]
                slides.append(
                    page.slide_seconds(f"slice-dim-{dim}", drawn.randrange(1, size) if size > 1 else 0)
                )
        sample["slide_first_seconds"] = [first for first, _ in slides]
        sample["slide_last_seconds"] = [last for _, last in slides]
        sample["peak_anon_bytes"] = server.peak_anon_bytes
    yield sample


def _start(options: argparse.Namespace, folder: Path, browser: Any) -> Iterator[dict[str, Any]]:
    """From nothing to the page."""
    del folder
    with _served(options) as server, open_page(browser) as page:
        page.open(server.url)
        yield {"url_seconds": server.url_seconds, "first_paint_seconds": page.first_paint_seconds()}


def _drops(options: argparse.Namespace, folder: Path, browser: Any) -> Iterator[dict[str, Any]]:
    """Two archives given to the page's inputs, as if dropped, and compared as soon as that can be."""
    for kind in ARCHIVES[-1:] if options.toy else ARCHIVES:
        paths = make_archives(
            folder / kind.replace(".", "-"),
            kind,
            nbytes=options.archive_bytes,
            layers=max(2, options.layers // 4),
        )
        with _served(options) as server, open_page(browser) as page:
            page.open(server.url)
            page.wait_for("drop-expected")
            time.sleep(0.5 if options.toy else _SETTLE_SECONDS)
            _warm(list(paths))
            started = page.drop("expected", paths[0])
            page.drop("actual", paths[1])
            pressed = page.press_compare()
            at, text = page.verdict_at()
            yield {
                "kind": kind,
                "bytes": [path.stat().st_size for path in paths],
                "seconds": at - started,
                "upload_seconds": pressed - started,
                "verdict": text[:200],
                "peak_anon_bytes": server.peak_anon_bytes,
            }


def _rows(options: argparse.Namespace, folder: Path, browser: Any) -> Iterator[dict[str, Any]]:
    """A long list, scrolled slowly and fast."""
    expected, actual = make_rows(folder / "rows", rows=options.rows)
    with _served(options, expected, actual) as server, open_page(browser) as page:
        page.open(server.url)
        at, _ = page.verdict_at()
        page.wait_for("tensor-row")
        sample: dict[str, Any] = {"rows": options.rows, "verdict_seconds": at - server.started}
        sample |= {f"rows_{name}": value for name, value in page.seconds("/rows").items()}
        for name, step in (("slow", 40), ("fast", 1200), ("jumps", 60_000)):
            found = page.scroll(options.frames, step)
            sample[f"{name}_frame_ms"] = found["deltas"]
            sample[f"{name}_first_lines"] = found["names"]
            sample["list_height"] = found["height"]
        sample["list_anon_bytes"] = server.peak_anon_bytes
    yield sample


Part = Callable[[argparse.Namespace, Path, Any], Iterator[dict[str, Any]]]
PARTS: dict[str, Part] = {
    "start": _start, "verdict": _verdict, "slices": _slices, "drops": _drops, "rows": _rows,
}  # fmt: skip


@contextlib.contextmanager
def _served(options: argparse.Namespace, *arguments: str | Path) -> Iterator[WebServer]:
    static = [] if options.static is None else ["--static", options.static]
    with WebServer(*arguments, *static) as server:
        yield server


def _slice(drawn: random.Random, rows: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Any two dims of any pair, the other dims anywhere."""
    row = drawn.randrange(rows["count"])
    shape = _shape(rows, row)
    down, across = drawn.sample(range(len(shape)), 2)
    window = {"fixed": [drawn.randrange(size) for size in shape], "rows": down, "columns": across}
    which = drawn.choice(("expected", "actual", "difference"))
    return row, {"which": which, "expected": window, "max_height": _TILE, "max_width": _TILE}


def _shape(rows: dict[str, Any], row: int) -> list[int]:
    found: list[int] = json.loads(rows["shapes"][rows["shape"][row]])
    return found


def _is_strided(window: dict[str, Any]) -> bool:
    """Whether neighbours in a row lie apart in memory."""
    return bool(window["columns"] != len(window["fixed"]) - 1)


def _whole(rows: dict[str, Any], row: int) -> dict[str, Any]:
    """All numbers of a tensor in one picture."""
    return {"fixed": [0] * len(_shape(rows, row)), "flat": True, "fold": 2048}


def _cold(files: list[Path]) -> dict[str, Any]:
    dropped = drop_caches(files)
    return {"dropped": dropped, "cached_bytes": cached_bytes(files)}


def _warm(files: list[Path]) -> dict[str, Any]:
    for file in files:
        with file.open("rb") as opened:
            while opened.read(1 << 24):
                pass
    return {"dropped": None, "cached_bytes": cached_bytes(files)}


def _bundle(options: argparse.Namespace) -> dict[str, int]:
    """Bytes of the page's files, each packed by itself, as a browser without them would fetch them."""
    folder = options.static or Path(outgrow.compare.__file__).parent / "web" / "static"
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".html", ".js", ".css", ".svg")]
    packed = sum(len(gzip.compress(path.read_bytes(), 9)) for path in files)
    return {"files": len(files), "bytes": sum(path.stat().st_size for path in files), "packed_bytes": packed}
