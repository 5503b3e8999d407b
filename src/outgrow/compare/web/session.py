"""What one tab has opened: its files, its comparison. No other tab sees them."""

__all__ = ["Session"]

import secrets
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outgrow.compare.web.job import Job, Progressed
from outgrow.compare.web.options import Options
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.side_item import SIDES, SideItem, SideName
from outgrow.events import Listener

if TYPE_CHECKING:
    from outgrow.compare.comparison import Comparison


class Session:
    """Close it: its uploads and open files are given back."""

    def __init__(self, options: Options) -> None:
        self.id = secrets.token_urlsafe(18)
        self.options = options
        self.job = Job()
        self._lock = threading.Lock()
        self._sides: dict[SideName, tuple[SideItem, ...]] = dict.fromkeys(SIDES, ())
        self._used = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Since its last call."""
        return time.monotonic() - self._used

    def touch(self) -> None:
        """It was called."""
        self._used = time.monotonic()

    def items(self, side: SideName) -> tuple[SideItem, ...]:
        """What a side is made of, in order."""
        with self._lock:
            return self._sides[side]

    def add(self, side: SideName, item: SideItem) -> None:
        """Put it behind the others of its side."""
        with self._lock:
            self._sides[side] = (*self._sides[side], item)

    def remove(self, side: SideName, item_id: str) -> None:
        """Take it away and give back what it needs.

        Raises:
            ApiError: there is no such item.
        """
        with self._lock:
            found = [item for item in self._sides[side] if item.id == item_id]
            self._sides[side] = tuple(item for item in self._sides[side] if item.id != item_id)
        if not found:
            raise ApiError(f"there is no file {item_id!r} on that side", status=404, code="item")
        for item in found:
            item.close()

    def begin(self) -> None:
        """Open what the server was started with."""
        for side, paths in (("expected", (self.options.expected,)), ("actual", self.options.actual)):
            for path in paths:
                if path is not None:
                    self.add(side, path_item(path))  # type: ignore[arg-type]
        if self.items("expected") and self.items("actual"):
            self.compare({})

    def compare(self, settings: dict[str, Any]) -> Progressed:
        """Begin to compare both sides as they are now.

        Raises:
            ApiError: a side is empty.
        """
        for side in SIDES:
            if not self.items(side):
                raise ApiError(
                    f"the {side} side is empty", status=400, code="empty", hint="drop a file on it"
                )
        sides = {side: self.items(side) for side in SIDES}

        def make(listener: Listener) -> "Comparison":
            from outgrow.compare.web.opening import open_comparison  # which loads torch

            return open_comparison(sides, settings=settings, options=self.options, listener=listener)

        return self.job.start(make)

    def close(self) -> None:
        """Give everything back; may be called twice."""
        self.job.stop()
        with self._lock:
            items = [item for side in SIDES for item in self._sides[side]]
            self._sides = dict.fromkeys(SIDES, ())
        for item in items:
            item.close()

    def as_dict(self) -> dict[str, Any]:
        """What the page is told."""
        return {
            "session": self.id,
            "sides": {side: [item.as_dict() for item in self.items(side)] for side in SIDES},
            "comparison": self.job.status.as_dict(),
        }


def path_item(path: Path) -> SideItem:
    """A file or folder of this machine."""
    size = path.stat().st_size if path.is_file() else 0
    return SideItem(id=secrets.token_urlsafe(9), name=path.name, nbytes=size, source="path", path=path)
