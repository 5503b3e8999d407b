"""Disks that misbehave on purpose: interrupted, short, empty and failing reads, by a schedule or a seed."""

__all__ = ["FAULTS", "FaultyReader", "FaultyReads", "faulty_reads"]

import errno
import os
import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import Literal, Self
from unittest import mock

from outgrow.errors import InputError, StoreError
from outgrow.store import Reader

Fault = Literal["ok", "short", "half", "empty", "eintr", "eio"]

FAULTS: Sequence[Fault] = ("ok", "short", "half", "empty", "eintr", "eio")
"""`short` gives one byte less than asked, `half` a half, `empty` nothing; `eintr` and `eio` raise."""


class FaultyReads:
    """Stands in for `os.preadv`: each call takes the next fault, and after the last all is well."""

    def __init__(self, schedule: Iterable[Fault]) -> None:
        self.calls: list[tuple[Fault, int]] = []
        """What was done to each call, and how many bytes it then gave (-1: it raised)."""
        self._schedule = chain(schedule, _fine())
        self._lock = threading.Lock()
        self._preadv = os.preadv

    def __call__(self, descriptor: int, buffers: Sequence[memoryview], offset: int, flags: int = 0, /) -> int:
        """Read as `os.preadv`, or fail as scheduled."""
        with self._lock:
            fault = next(self._schedule)
            self.calls.append((fault, -1))
            index = len(self.calls) - 1
        if fault in ("eintr", "eio"):
            number = errno.EINTR if fault == "eintr" else errno.EIO
            raise OSError(number, os.strerror(number))
        (buffer,) = buffers
        # Read in full and report less: a direct read of an odd length would be refused by the real call.
        came = self._preadv(descriptor, [buffer], offset, flags)
        came = {"short": max(came - 1, 0), "half": came // 2, "empty": 0}.get(fault, came)
        # What was not reported must not be believed.
        with memoryview(buffer) as view:
            view[came:] = b"\xa5" * (view.nbytes - came)
        self.calls[index] = (fault, came)
        return came


@contextmanager
def faulty_reads(
    schedule: Iterable[Fault] = (), *, seed: int | None = None, weights: Sequence[float] = (4, 1, 1, 1, 1, 0)
) -> Iterator[FaultyReads]:
    """Make every `os.preadv` of this process misbehave inside the block.

    After those of `schedule`, a `seed` draws faults for ever, with `weights` in the order of `FAULTS`.

    Raises:
        InputError: this platform has no `preadv`.
    """
    if not hasattr(os, "preadv"):
        raise InputError(
            "this platform has no preadv to disturb", hint="run this test on Linux, and skip it elsewhere"
        )
    drawn: Iterable[Fault] = ()
    if seed is not None:
        # Not for secrets: a failing test must be repeatable from its seed.
        generator = random.Random(seed)
        drawn = (generator.choices(FAULTS, weights)[0] for _ in repeat(None))
    faults = FaultyReads(chain(schedule, drawn))
    with mock.patch("os.preadv", faults):
        yield faults


def _fine() -> Iterator[Fault]:
    while True:
        yield "ok"


class FaultyReader:
    """A `Reader` that passes calls on to another and fails those whose number, from 0, is in `failing`."""

    def __init__(self, reader: Reader, failing: Iterable[int]) -> None:
        self.name = f"faulty {reader.name}"
        self.alignment = reader.alignment
        self.count = 0
        """How many calls came so far."""
        self._reader = reader
        self._failing = frozenset(failing)
        self._lock = threading.Lock()

    def read_into(self, path: Path, offset: int, into: memoryview, *, needed: int | None = None) -> int:
        """As `Reader.read_into`; a failing call fills `into` with rubbish first.

        Raises:
            StoreError: this call is one of the failing ones.
        """
        with self._lock:
            number, self.count = self.count, self.count + 1
        if number in self._failing:
            into[:] = b"\xa5" * into.nbytes
            raise StoreError(
                f"reading {str(path)!r} failed at byte {offset:,} on purpose, at call {number}",
                hint="this fault was asked for in `failing`: leave the number out for a call that works",
            )
        return self._reader.read_into(path, offset, into, needed=needed)

    def close(self) -> None:
        """Close the reader behind."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
