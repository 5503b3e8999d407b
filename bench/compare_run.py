"""Two dumps compared, in a process of its own: `python -m bench.compare_run SPEC` prints one line of JSON."""

__all__ = ["main", "run"]

import json
import mmap
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from bench.limit import anon_bytes
from bench.page_cache import cached_bytes, drop_caches
from outgrow.compare import compare
from outgrow.compare.kernel import kernel_status
from outgrow.compare.measures import measure

_SAMPLE_SECONDS = 0.005
_PIECE = 1 << 18


def run(spec: dict[str, Any]) -> dict[str, Any]:
    """Compare `expected` with `actual` `repeats` times, cold or warm, reading both by other means between."""
    folders = Path(spec["expected"]), Path(spec["actual"])
    files = sorted(file for folder in folders for file in folder.iterdir())
    status = kernel_status(build=True)
    threads = torch.get_num_threads()
    _warm_up(folders)
    imported = anon_bytes(os.getpid())
    samples = []
    if not spec["cold"]:
        # Whatever filled the page cache before, it is now as after one program has read the files.
        drop_caches(files)
        _read_copied(files, threads)
    readers = {"mapped_seconds": _read_mapped, "copied_seconds": _read_copied}
    for number in range(spec["repeats"]):
        sample: dict[str, Any] = {"threads": threads}
        for name, read in readers.items() if not spec["cold"] else ():
            read(files, threads)  # and what maps or fills the cache for the first time is not measured
            sample[name] = _seconds(lambda read=read: read(files, threads))
        if spec["cold"]:
            sample["dropped"] = drop_caches(files)
            sample["cached_bytes"] = cached_bytes(files)
        with _peak_anon() as peak:
            started = time.perf_counter()
            with compare(expected=folders[0], actual=folders[1]) as comparison:
                sample["verdict"] = comparison.verdict
                sample["pairs"] = len(comparison.findings)
                sample["compare_seconds"] = time.perf_counter() - started
        sample["peak_anon_bytes"] = peak[0]
        sample["repeat"] = number
        samples.append(sample)
    resident = {} if spec["cold"] else _resident(folders, spec["repeats"])
    return {
        "kernel": status.reason,
        **resident,
        "imported_anon_bytes": imported,
        "scheduler": os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None,
        "samples": samples,
    }


def _resident(folders: tuple[Path, Path], repeats: int) -> dict[str, Any]:
    """The arithmetic alone: tensors that lie in memory of this process, against their sums."""
    sides = []
    for folder in folders:
        files = sorted(folder.iterdir())
        sides.append(torch.cat([t.reshape(-1) for file in files[:8] for t in load_file(file).values()]))
    expected, actual = (side[: side.numel() // 8 * 8] for side in sides)
    words = [side.view(torch.int64) for side in (expected, actual)]
    read, measured = [], []
    for _ in range(repeats + 1):
        read.append(_seconds(lambda: [numbers.sum() for numbers in words]))
        measured.append(_seconds(lambda: measure(actual, expected)))
    return {
        "resident_bytes": 2 * expected.nbytes,
        "resident_read_seconds": min(read[1:]),
        "resident_measure_seconds": min(measured[1:]),
    }


def _warm_up(folders: tuple[Path, Path]) -> None:
    """What is imported late, and threads that start once, are not the comparison's time."""
    numbers = {f"{layer}_query": torch.randn(20_000) for layer in range(3)}
    with compare(expected=numbers, actual=numbers) as comparison:
        assert comparison.verdict == "match", folders


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _read_mapped(files: list[Path], threads: int) -> int:
    """The sum of all bytes as integers of 8: nothing reads both dumps once faster than this."""
    torch.set_num_threads(1)

    def one(file: Path) -> int:
        with file.open("rb") as opened:
            pages = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)
        numbers = torch.frombuffer(pages, dtype=torch.int64, count=len(pages) // 8)
        return int(numbers.sum())

    try:
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(one, files))
    finally:
        torch.set_num_threads(threads)


def _read_copied(files: list[Path], threads: int) -> int:
    """The same by `read` into a small buffer, as programs do that map no files."""
    torch.set_num_threads(1)

    def one(file: Path) -> int:
        piece, total = bytearray(_PIECE), 0
        numbers = torch.frombuffer(piece, dtype=torch.int64)
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(piece):
                total += int(numbers.sum())
        return total

    try:
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(one, files))
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _peak_anon() -> Iterator[list[int]]:
    """The most anonymous memory meanwhile, in a list of one."""
    peak, ended = [anon_bytes(os.getpid())], threading.Event()

    def look() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            peak[0] = max(peak[0], anon_bytes(os.getpid()))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def main(arguments: list[str]) -> int:
    """Print one line of JSON."""
    print(json.dumps(run(json.loads(arguments[0]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
