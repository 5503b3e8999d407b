"""Comparing in a thread of its own, with progress and a way to stop it."""

__all__ = ["Cancelled", "Job", "Progressed"]

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from outgrow.errors import OutgrowError
from outgrow.events import Listener, Progress

if TYPE_CHECKING:
    from outgrow.compare.comparison import Comparison

State = Literal["empty", "opening", "comparing", "ready", "failed", "cancelled"]


class Cancelled(Exception):
    """The user does not want it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """How far a job is; `Status` of the API."""

    state: State = "empty"
    revision: int = 0
    done: int = 0
    total: int = 0
    item: str | None = None
    message: str | None = None
    hint: str | None = None
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """What the page is told."""
        error = None if self.message is None else {"message": self.message, "hint": self.hint}
        return {
            "state": self.state, "revision": self.revision, "done": self.done, "total": self.total,
            "item": self.item, "error": error, "seconds": self.seconds,
        }  # fmt: skip


class Job:
    """Makes one comparison after the other; a new one cancels the one before it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._status = Progressed()
        self._comparison: Comparison | None = None
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def status(self) -> Progressed:
        """As it is now."""
        with self._changed:
            return self._status

    @property
    def comparison(self) -> "Comparison | None":
        """The last one that is ready."""
        with self._changed:
            return self._comparison if self._status.state == "ready" else None

    def wait(self, after: int, seconds: float) -> Progressed:
        """The status as soon as its revision is not `after`, or when the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._status.revision != after, seconds)
            return self._status

    def start(self, make: "Callable[[Listener], Comparison]") -> Progressed:
        """Begin; `make` gets the listener and gives a comparison, which is judged here and owned from then."""
        self.stop()
        self._cancel = cancel = threading.Event()
        self._set(state="opening", done=0, total=0, item=None, message=None, hint=None, seconds=0.0)
        self._thread = threading.Thread(
            target=self._run, args=(make, cancel), name="outgrow-compare", daemon=True
        )
        self._thread.start()
        return self.status

    def cancel(self) -> Progressed:
        """Stop what runs; what is ready stays."""
        self._cancel.set()
        return self.status

    def stop(self) -> None:
        """Cancel, wait, and close what was made; may be called twice."""
        self._cancel.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._changed:
            comparison, self._comparison = self._comparison, None
        if comparison is not None:
            comparison.close()
            self._set(state="empty")

    def _run(self, make: "Callable[[Listener], Comparison]", cancel: threading.Event) -> None:
        started = time.monotonic()
        comparison: Comparison | None = None

        def listen(event: object, /) -> None:
            if cancel.is_set():
                raise Cancelled
            if isinstance(event, Progress):
                state: State = "comparing" if event.task == "comparing" else "opening"
                self._set(state=state, done=event.done, total=event.total or 0, item=event.item)

        try:
            comparison = make(listen)
            listen(None)
            _ = comparison.findings, comparison.diagnoses
            listen(None)
        except Cancelled:
            self._fail(comparison, state="cancelled")
        except OutgrowError as err:
            self._fail(comparison, state="failed", message=err.message, hint=err.hint)
        except BaseException as err:
            traceback.print_exc()
            self._fail(comparison, state="failed", message=f"a fault in outgrow: {err!r}", hint=None)
        else:
            with self._changed:
                self._comparison = comparison
            self._set(state="ready", seconds=time.monotonic() - started)

    def _fail(self, comparison: "Comparison | None", **changes: Any) -> None:
        if comparison is not None:
            comparison.close()
        self._set(**changes)

    def _set(self, **changes: Any) -> None:
        with self._changed:
            self._status = replace(self._status, **changes, revision=self._status.revision + 1)
            self._changed.notify_all()
