"""Processes that examine entries: one that dies or hangs is a result, and another one goes on after it."""

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
_MOST_LOST = 5
"""Cases of one entry that end the process, after which the rest of the entry is left out."""


class _Worker:
    """A process and what it is at."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.entry: Entry | None = None
        self.lost: dict[str, tuple[str, str]] = {}
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.pipe, self.options), daemon=True)
        self.process.start()
        theirs.close()
        self.case, self.since = "", time.monotonic()

    def give(self, entry: Entry) -> None:
        """Let it examine another entry."""
        self.entry, self.lost = entry, {}
        self._send()

    def _send(self) -> None:
        self.case, self.since = "", time.monotonic()
        self.pipe.send((self.entry, frozenset(self.lost)))

    def hear(self) -> dict[str, Any] | None:
        """What it says next: a record once the entry is done."""
        try:
            kind, what = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return self._lose("crash", f"the process ended: {self.process.exitcode}")
        if kind == "done":
            return self._with_lost(what)
        self.case, self.since = what, time.monotonic()
        return None

    def is_late(self) -> bool:
        """Whether nothing was heard for too long."""
        return time.monotonic() - self.since > self.options.timeout_seconds + _GRACE

    def kill(self) -> dict[str, Any] | None:
        """End a process that hangs, and go on after the case."""
        return self._lose("hang", "killed: no answer")

    def end(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def _lose(self, word: str, said: str) -> dict[str, Any] | None:
        assert self.entry is not None
        can_go_on = self.case not in ("", *self.lost)
        self.lost[self.case] = (word, said)
        self.end()
        self._start()
        if can_go_on and len(self.lost) < _MOST_LOST:
            self._send()
            return None
        record = {
            "database": self.entry.database,
            "name": self.entry.name,
            "world_size": self.entry.world_size,
        }
        more = {
            "seed": self.options.seed,
            "engine": self.options.engine,
            "seconds": 0.0,
            "forward": None,
            "backward": None,
        }
        return self._with_lost({**record, **more, "cases": {}, "kept": [], "rows": {}})

    def _with_lost(self, record: dict[str, Any]) -> dict[str, Any]:
        for case, (word, said) in self.lost.items():
            for phase in ("forward", "backward"):
                record[phase] = "silent" if record[phase] == "silent" else word
            record["cases"][f"forward {word}"] = record["cases"].get(f"forward {word}", 0) + 1
            record["kept"].append({"case": case, "phase": "forward", "word": word, "said": said})
        return record


def _serve(pipe: Any, other: Any, options: Options) -> None:
    other.close()
    torch.set_num_threads(1)
    # What torch prints before it ends a process, and of every fake op that fails, is not for the table.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        while True:
            entry, lost = pipe.recv()
            pipe.send(("done", examine(entry, options, lambda case: pipe.send(("case", case)), lost)))
    except (EOFError, KeyboardInterrupt):
        return


def run_all(todo: Iterable[Entry], options: Options, jobs: int) -> Iterator[dict[str, Any]]:
    """Records as they come; a case that ends its process is one of them."""
    for names, _ in DATABASES.values():
        names()  # before the fork: reading the databases takes seconds
    waiting = iter(todo)
    workers = [_Worker(options) for _ in range(jobs)]
    busy = [worker for worker in workers if _next(worker, waiting)]
    try:
        while busy:
            ready = multiprocessing.connection.wait([worker.pipe for worker in busy], timeout=1.0)
            for worker in list(busy):
                record = None
                if worker.pipe in ready:
                    record = worker.hear()
                elif worker.is_late():
                    record = worker.kill()
                if record is not None:
                    yield record
                    if not _next(worker, waiting):
                        busy.remove(worker)
    finally:
        for worker in workers:
            worker.end()


def _next(worker: _Worker, waiting: Iterator[Entry]) -> bool:
    entry = next(waiting, None)
    if entry is None:
        return False
    worker.give(entry)
    return True
