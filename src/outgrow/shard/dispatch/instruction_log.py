"""What was dispatched, and when: one JSON object a line, for `outgrow shard visualize` and for people.

Every line has `event` and `time`, in seconds since the log began (of the machine's monotonic clock). The
events:

- `start`: `version`, `world_size`, `began` (seconds since 1970);
- `session`: `session`, `is_open`;
- `segment`: `session`, `segment`, `instructions`, `ops` (how many of each, by name);
- `message`: `sequence`, `session`, `kind` (`CALL`, `PUT`, `FETCH`, ...), `bytes`, `instructions`, `segment`
and `call` (None
  where it is no call), `received`, `forwarded`, `ranks` (for each rank `[started, ended]`, None where it did
  not say);
- `ranks`: `generation`, `is_ready`: a gang of ranks came or was lost.
"""

__all__ = ["VERSION", "Timeline"]

import contextlib
import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, TextIO

VERSION = 1
_MOST_EVENTS = 200_000


class Timeline:
    """Events to a file, to memory for a while, or to nobody."""

    def __init__(self, world_size: int, path: Path | None = None) -> None:
        """`path` is written anew. Raises OSError where it cannot be opened."""
        self._began = time.monotonic()
        self._file: TextIO | None = path.open("w", encoding="utf-8") if path else None
        self._kept: deque[dict[str, Any]] | None = None
        self._until = 0.0
        self._start = {
            "event": "start",
            "time": 0.0,
            "version": VERSION,
            "world_size": world_size,
            "began": time.time(),
        }
        if self._file is not None:
            self._write(self._start)

    @property
    def is_on(self) -> bool:
        """Whether anybody wants events."""
        return self._file is not None or self._kept is not None

    def at(self, monotonic: float) -> float:
        """A time of `time.monotonic` as the log writes it."""
        return round(monotonic - self._began, 7)

    def add(self, event: str, **fields: Any) -> None:
        """Take note of something that happened now."""
        now = time.monotonic()
        record = {"event": event, "time": self.at(now), **fields}
        if self._file is not None:
            self._write(record)
        if self._kept is not None:
            if now > self._until:
                self._kept = None  # nobody came for it
            else:
                self._kept.append(record)

    def keep(self, seconds: float) -> None:
        """Keep what happens from now on in memory; forgotten where nobody takes it within `seconds`."""
        self._kept = deque(maxlen=_MOST_EVENTS)
        self._until = time.monotonic() + seconds

    def take(self) -> list[dict[str, Any]]:
        """What was kept, with the start of the log; keeping ends."""
        kept, self._kept = self._kept, None
        return [self._start, *(kept or ())]

    def _write(self, record: dict[str, Any]) -> None:
        assert self._file is not None
        try:
            self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
        except OSError as err:
            self._give_up(err)

    def flush(self) -> None:
        """Write out what was noted."""
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as err:
                self._give_up(err)

    def close(self) -> None:
        """End the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _give_up(self, err: OSError) -> None:
        """A disk that is full ends the log, not the program that is logged."""
        assert self._file is not None
        file, self._file = self._file, None
        with contextlib.suppress(OSError):
            file.close()
        sys.stderr.write(f"outgrow.shard: the instruction log {file.name!r} ends here: {err.strerror}\n")
