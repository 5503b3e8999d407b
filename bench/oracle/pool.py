"""Processes that examine entries: one that dies or hangs is a result, and another one takes its place."""

__all__ = ["run_all"]

import multiprocessing
import multiprocessing.connection
import os
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from bench.oracle.entries import DATABASES
from bench.oracle.examine import examine
from bench.oracle.options import Entry, Options

_GRACE = 15.0
"""Seconds beyond a case's own limit after which its process is killed."""


class _Worker:
    def __init__(self, options: Options) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.pipe, options), daemon=True)
        self.process.start()
        theirs.close()
        self.entry: Entry | None = None
        self.case = ""
        self.since = time.monotonic()

    def give(self, entry: Entry) -> None:
        self.entry, self.case, self.since = entry, "", time.monotonic()
        self.pipe.send(entry)

    def end(self) -> int | None:
        self.process.kill()
        self.process.join()
        self.pipe.close()
        return self.process.exitcode


def _serve(pipe: Any, other: Any, options: Options) -> None:
    other.close()
    torch.set_num_threads(1)
    # What an op prints before it ends its process is not for the table.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        while True:
            entry = pipe.recv()
            pipe.send(("done", examine(entry, options, lambda case: pipe.send(("case", case)))))
    except (EOFError, KeyboardInterrupt):
        return


def run_all(todo: Iterable[Entry], options: Options, jobs: int) -> Iterator[dict[str, Any]]:
    """Records as they come; a process that dies gives one with the case in which it did."""
    for names, _ in DATABASES.values():
        names()  # before the fork: reading the databases takes seconds
    waiting = iter(todo)
    workers = [_Worker(options) for _ in range(jobs)]
    busy = [worker for worker in workers if _next(worker, waiting)]
    try:
        while busy:
            ready = multiprocessing.connection.wait([worker.pipe for worker in busy], timeout=1.0)
            for worker in list(busy):
                record, has_ended = None, False
                if worker.pipe in ready:
                    try:
                        kind, what = worker.pipe.recv()
                    except (EOFError, ConnectionResetError):
                        kind, what, has_ended = "died", None, True
                    if kind == "case":
                        worker.case, worker.since = what, time.monotonic()
                    elif kind == "done":
                        record = what
                    else:
                        worker.process.join()
                        record = _lost(
                            worker, "crash", f"the process ended: {worker.process.exitcode}", options
                        )
                elif time.monotonic() - worker.since > options.timeout_seconds + _GRACE:
                    record, has_ended = _lost(worker, "hang", "killed after no answer", options), True
                if record is None:
                    continue
                yield record
                busy.remove(worker)
                if has_ended:
                    worker.end()
                    workers.remove(worker)
                    worker = _Worker(options)
                    workers.append(worker)
                if _next(worker, waiting):
                    busy.append(worker)
    finally:
        for worker in workers:
            worker.end()


def _next(worker: _Worker, waiting: Iterator[Entry]) -> bool:
    entry = next(waiting, None)
    if entry is None:
        return False
    worker.give(entry)
    return True


def _lost(worker: _Worker, word: str, said: str, options: Options) -> dict[str, Any]:
    assert worker.entry is not None
    return {
        "database": worker.entry.database,
        "name": worker.entry.name,
        "world_size": worker.entry.world_size,
        "seed": options.seed,
        "seconds": round(time.monotonic() - worker.since, 3),
        "forward": word,
        "backward": word,
        "cases": {f"forward {word}": 1},
        "kept": [{"case": worker.case, "phase": "forward", "word": word, "said": said}],
        "rows": {},
    }
