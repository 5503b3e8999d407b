"""Signs of life: a page of memory in which every rank counts, and from which whoever started them reads.

It is shared memory, not messages: a rank that computes, waits in a collective or has a full socket still
gives its sign, and what it did last can be read after its death.
"""

__all__ = ["Pulse", "PulseBoard", "Reading"]

import mmap
import os
import threading
from dataclasses import dataclass
from typing import Self

_BEAT, _STARTED, _FINISHED, _FAILURES, _PLACES = 0, 1, 2, 3, 4
_KEPT = 4  # places of the last failures: a rank is at most one failure ahead of another
_WORDS = 16  # eight bytes each: ranks do not write into one another's cache lines
_NO_STEP = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a rank has written."""

    beats: int
    """It counts on while the process runs."""
    started: int
    """The last message that it took up; -1 before the first."""
    finished: int
    """The last one that it was done with."""
    failures: int
    """How many ops have failed on it."""


class PulseBoard:
    """The page of one gang. Made before its processes are: it is inherited, and gone with the last of
    them."""

    def __init__(self, world_size: int, descriptor: int | None = None) -> None:
        """A new page, or the one behind a descriptor that was passed on, which then belongs to it."""
        self.world_size = world_size
        nbytes = world_size * _WORDS * 8
        is_new = descriptor is None
        if descriptor is None:
            descriptor = os.memfd_create("outgrow-pulse", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, nbytes)
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, nbytes)
        self._words = memoryview(self._map).cast("q")
        if is_new:
            self.clear()

    def clear(self) -> None:
        """As before the first sign: for a new gang."""
        for rank in range(self.world_size):
            begin = rank * _WORDS
            for word in range(_WORDS):
                self._words[begin + word] = -1 if word in (_STARTED, _FINISHED) else 0

    def read(self, rank: int) -> Reading:
        """What a rank last wrote."""
        begin = rank * _WORDS
        # Finished first: it may go on between, and a message finished before it was started makes no sense.
        finished = self._words[begin + _FINISHED]
        return Reading(
            beats=self._words[begin + _BEAT],
            started=self._words[begin + _STARTED],
            finished=finished,
            failures=self._words[begin + _FAILURES],
        )

    def failure(self, rank: int, count: int) -> tuple[int, int | None] | None:
        """Where the rank's failure number `count` was, as `(message, step)`; None where it has not come so
        far."""
        begin = rank * _WORDS
        if self._words[begin + _FAILURES] < count:
            return None
        place = begin + _PLACES + 2 * (count % _KEPT)
        step = self._words[place + 1]
        return self._words[place], None if step == _NO_STEP else step

    def pulse(self, rank: int) -> "Pulse":
        """What a rank writes with."""
        return Pulse(self, self._words[rank * _WORDS : (rank + 1) * _WORDS], rank)

    def close(self) -> None:
        """Give the page back; ranks that still have it keep theirs."""
        self._words.release()
        self._map.close()
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Pulse:
    """A rank's side: counts in a thread of its own, notes what it is at, and waits until all have failed
    alike."""

    def __init__(self, board: PulseBoard, words: memoryview, rank: int) -> None:
        self._board = board
        self._words = words
        self._rank = rank
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, *, every_seconds: float = 0.1) -> None:
        """Begin to count."""
        self._thread = threading.Thread(
            target=self._count, args=(every_seconds,), name="outgrow-pulse", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Count no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._words.release()

    def takes_up(self, seq: int) -> None:
        """A message is going to be run."""
        self._words[_STARTED] = seq

    def done_with(self, seq: int) -> None:
        """A message has been run."""
        self._words[_FINISHED] = seq

    def fail(self, seq: int, step: int | None) -> int:
        """An op has failed here; returns which failure of this rank it is, from 1."""
        count = self._words[_FAILURES] + 1
        place = _PLACES + 2 * (count % _KEPT)
        self._words[place] = seq
        self._words[place + 1] = _NO_STEP if step is None else step
        self._words[_FAILURES] = count
        return count

    def has_agreed(self, count: int, seq: int, step: int | None) -> bool:
        """Whether every rank's failure number `count` was here."""
        ranks = range(self._board.world_size)
        return all(self._board.failure(rank, count) == (seq, step) for rank in ranks)

    def _count(self, every_seconds: float) -> None:
        while not self._stop.wait(every_seconds):
            self._words[_BEAT] += 1
