"""One comparison on its way: who listens to it, and whether anybody still wants it."""

__all__ = ["Cancelled", "Task"]

import threading
import time
from collections.abc import Callable
from typing import Any

from outgrow.compare.web.progressed import State
from outgrow.events import Progress

# Every pair is an event, and there may be 100,000; people see no more than a few a second.
_EVERY_SECONDS = 0.05


class Cancelled(Exception):
    """Nobody wants it any more."""


class Task:
    """The listener of one comparison. It raises `Cancelled` in whoever works for it once it is cancelled."""

    def __init__(self, tell: Callable[..., None]) -> None:
        """`tell` gets changes of `Progressed` as keywords."""
        self._tell = tell
        self._cancelled = threading.Event()
        self._told: tuple[str, float] = ("", 0.0)

    @property
    def is_cancelled(self) -> bool:
        """Whether it should end."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Nobody wants it any more."""
        self._cancelled.set()

    def check(self) -> None:
        """Go on.

        Raises:
            Cancelled: nobody wants it any more.
        """
        if self._cancelled.is_set():
            raise Cancelled

    def __call__(self, event: object, /) -> None:
        """Tell of progress, a few times a second."""
        self.check()
        if not isinstance(event, Progress):
            return
        state: State = "comparing" if event.task == "comparing" else "opening"
        now = time.monotonic()
        is_over = event.total is not None and event.done >= event.total
        if self._told[0] == state and now - self._told[1] < _EVERY_SECONDS and not is_over:
            return
        self._told = (state, now)
        changes: dict[str, Any] = {"state": state, "done": event.done, "total": event.total or 0}
        self._tell(**changes, item=event.item or None)
