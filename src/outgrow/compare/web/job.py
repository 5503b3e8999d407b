"""Comparing in a thread of its own, with progress and a way to stop it."""

__all__ = ["Job"]

import asyncio
import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from outgrow.compare.web.loan import Loan, gone
from outgrow.compare.web.progressed import Progressed
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.task import Cancelled, Task
from outgrow.errors import OutgrowError
from outgrow.events import Listener, Progress

if TYPE_CHECKING:
    from outgrow.compare.comparison import Comparison

_BEGUN: dict[str, Any] = {
    "state": "opening", "done": 0, "total": 0, "item": None, "message": None, "hint": None, "seconds": 0.0,
}  # fmt: skip
_LOOK_SECONDS = 0.05
_OTHERS = "(after those of other tabs)"


class Job:
    """Makes one comparison after the other; a new one cancels the one before it.

    Any thread may call it. Nothing waits for a thread that is told to end, except the thread that comes after
    it, so that no two compare for the same tab at a time.
    """

    def __init__(
        self, status: Progressed | None = None, *, places: threading.Semaphore | None = None
    ) -> None:
        """`status` is that of before the first comparison; it has to get one of `places` to be made."""
        self._lock = threading.RLock()
        self._status = status or Progressed()
        self._loan: Loan | None = None
        self._task: Task | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._places = threading.Semaphore() if places is None else places
        self._waiting: set[Callable[[], None]] = set()

    @property
    def status(self) -> Progressed:
        """As it is now."""
        with self._lock:
            return self._status

    async def changed(self, after: int, seconds: float) -> Progressed:
        """The status as soon as its revision is not `after`, or when the time is over, or after `wake`."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(event.set)

        with self._lock:
            if self._status.revision != after or self._is_closed:
                return self._status
            self._waiting.add(wake)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), seconds)
        finally:
            with self._lock:
                self._waiting.discard(wake)
        return self.status

    def wake(self) -> None:
        """Let nobody wait any more."""
        with self._lock:
            waiting = list(self._waiting)
        for wake in waiting:
            wake()

    @contextlib.contextmanager
    def reading(self, revision: int | None = None) -> Iterator["Comparison"]:
        """The comparison, open until the end of the block.

        Raises:
            ApiError: there is none, another one has taken its place meanwhile, or it is not that of
                `revision`, where one is given.
        """
        with self._lock:
            loan, status = self._loan, self._status
        if loan is None or status.state != "ready":
            raise ApiError(
                "nothing is compared yet", status=409, code="not-ready", hint="compare two runs first"
            )
        if revision not in (None, status.revision):
            raise gone()
        with loan.reading() as comparison:
            yield comparison

    def start(self, make: "Callable[[Listener], Comparison]") -> Progressed:
        """Begin; `make` gets the listener and gives a comparison, which is judged here and owned from then.

        `make` runs in another thread; what it raises becomes the status.
        """
        return self._begin(self._new_task(), make)

    def alter(
        self, change: "Callable[[Comparison, Listener], Comparison]", *, source: "Job | None" = None
    ) -> Progressed:
        """As `start`, from the comparison that is ready, here or in `source`; `change` is called at once.

        Raises:
            ApiError: there is none.
            OutgrowError: what `change` raises; then nothing has changed.
        """
        task = self._new_task()
        with contextlib.ExitStack() as given_back:
            with (source or self).reading() as old:
                new = change(old, task)
                given_back.callback(new.close)
            status = self._begin(task, lambda _: new, made=new)
            given_back.pop_all()
        return status

    def cancel(self) -> Progressed:
        """Stop what runs; what is ready stays."""
        with self._lock:
            if self._task is not None:
                self._task.cancel()
            return self._status

    def close(self) -> None:
        """Cancel, and close what was made as soon as nobody reads it; may be called twice."""
        with self._lock:
            self._is_closed = True
            self.cancel()
            loan, self._loan = self._loan, None
            self._status = replace(self._status, state="empty", revision=self._status.revision + 1)
        if loan is not None:
            loan.retire()
        self.wake()

    def join(self, seconds: float) -> bool:
        """Wait for the thread; whether it has ended."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return thread is None or not thread.is_alive()

    def _new_task(self) -> Task:
        def tell(**changes: Any) -> None:
            with self._lock:
                if self._task is task:
                    self._set(**changes)

        task = Task(tell)
        return task

    def _begin(
        self,
        task: Task,
        make: "Callable[[Listener], Comparison]",
        *,
        made: "Comparison | None" = None,
    ) -> Progressed:
        """`made` is what `make` will give, where it is there already: it is closed also if nobody asks."""
        with self._lock:
            if self._is_closed:
                raise ApiError("this tab is not known any more", status=404, code="session", hint="reload")
            self.cancel()
            loan, self._loan = self._loan, None
            before, self._task = self._thread, task
            self._thread = threading.Thread(
                target=self._run, args=(make, task, before, made), name="outgrow-compare", daemon=True
            )
            self._set(**_BEGUN)
            status = self._status
            self._thread.start()
        if loan is not None:
            loan.retire()
        return status

    def _run(
        self,
        make: "Callable[[Listener], Comparison]",
        task: Task,
        before: threading.Thread | None,
        made: "Comparison | None",
    ) -> None:
        if before is not None:
            before.join()
        started = time.monotonic()
        comparison = made
        outcome: dict[str, Any]
        try:
            with self._place(task):
                comparison = make(task)
                task.check()
                _ = comparison.findings, comparison.diagnoses
            outcome = {"state": "ready"}
        except Cancelled:
            outcome = {"state": "cancelled"}
        except OutgrowError as err:
            outcome = {"state": "failed", "message": err.message, "hint": err.hint}
        # A thread that dies in silence would leave the page waiting for ever.
        except BaseException as err:
            traceback.print_exc(file=sys.stderr)
            said = f"a fault in outgrow: {type(err).__name__}"
            outcome = {"state": "failed", "message": said, "hint": "the terminal says more; please report it"}
        loan = None if comparison is None else Loan(comparison)
        with self._lock:
            is_wanted = self._task is task and not self._is_closed
            if is_wanted:
                is_ready = outcome["state"] == "ready" and not task.is_cancelled
                self._loan = loan if is_ready else None
                if is_ready:
                    outcome |= {"item": None, "seconds": time.monotonic() - started}
                elif outcome["state"] == "ready":
                    outcome = {"state": "cancelled"}
                self._set(**outcome)
        if loan is not None and (not is_wanted or outcome["state"] != "ready"):
            loan.retire()

    @contextlib.contextmanager
    def _place(self, task: Task) -> Iterator[None]:
        while not self._places.acquire(timeout=_LOOK_SECONDS):
            task(Progress(task="opening", done=0, total=None, item=_OTHERS))
        try:
            yield
        finally:
            self._places.release()

    def _set(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes, revision=self._status.revision + 1)
        self.wake()
