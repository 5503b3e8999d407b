"""What one tab has opened: its files, its comparison. No other tab sees them."""

__all__ = ["Session"]

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outgrow.compare.web.allowance import Allowance
from outgrow.compare.web.job import Job
from outgrow.compare.web.loading import load
from outgrow.compare.web.options import Options
from outgrow.compare.web.progressed import Progressed
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.roots import Roots
from outgrow.compare.web.side import Side
from outgrow.compare.web.side_item import SIDES, SideItem, SideKind, SideName
from outgrow.compare.web.upload import Upload
from outgrow.events import Listener

if TYPE_CHECKING:
    from outgrow.compare.comparison import Comparison
    from outgrow.compare.names import NameMap

_RUNNING = ("opening", "comparing")


class Session:
    """Close it: its uploads and open files are given back. Any thread may call it."""

    def __init__(
        self,
        options: Options,
        roots: Roots,
        *,
        shared: Job | None = None,
        places: threading.Semaphore | None = None,
    ) -> None:
        """`shared` is the job of what the server was started with; this tab looks at it until it compares
        something of its own. Whoever compares takes one of `places`."""
        self.id = secrets.token_urlsafe(18)
        self._options = options
        self._roots = roots
        self._allowance = Allowance(
            max_bytes=options.max_session_bytes,
            max_files=options.max_files,
            max_running=options.max_running_uploads,
        )
        self._lock = threading.Lock()
        self._sides: dict[SideName, Side] = dict.fromkeys(SIDES, Side())
        self._is_closed = False
        self._is_bare = True
        self._used = time.monotonic()
        self._has_left = False
        # Held while a job begins: two calls at once must not both replace the shared one.
        self._beginning = threading.Lock()
        self._shared = shared
        self._places = places
        self._job = Job(places=places) if shared is None else shared
        for side, paths in (("expected", (options.expected,)), ("actual", options.actual)):
            for path in paths:
                if path is not None:
                    self._add(side, _path_item(path))  # type: ignore[arg-type]
        self._compared = None if shared is None else self.sides
        self._name_map = options.name_map

    @property
    def idle_seconds(self) -> float:
        """Since its last call."""
        return time.monotonic() - self._used

    @property
    def is_bare(self) -> bool:
        """Whether it is as every new one is: then nothing is lost with it."""
        return self._is_bare

    @property
    def has_left(self) -> bool:
        """Whether the page was closed; or loaded again, and then it calls in a moment."""
        return self._has_left

    def leave(self) -> None:
        """The page goes away."""
        self._has_left = True

    def touch(self) -> None:
        """It was called."""
        self._used = time.monotonic()
        self._has_left = False

    @property
    def sides(self) -> Mapping[SideName, Side]:
        """What both are made of, as it is now."""
        with self._lock:
            return dict(self._sides)

    @contextlib.contextmanager
    def receiving(self, nbytes: int | None) -> Iterator[Upload]:
        """An upload on its way; `nbytes` where it says how many. Removed unless `keep` was called in it.

        Raises:
            ApiError: there are too many, or there is no place for so much.
        """
        self._is_bare = False
        self._allowance.begin(self._files)
        try:
            upload = Upload(max_bytes=self._options.max_upload_bytes, reserve=self._allowance.reserve)
            try:
                upload.require(nbytes or 0)
                yield upload
            finally:
                upload.close()
        finally:
            self._allowance.end()

    def keep(self, side: SideName, upload: Upload, name: str) -> SideItem:
        """What has come whole, as the last file of a side."""
        held = upload.hold()
        item = SideItem(
            id=secrets.token_urlsafe(9), name=name, nbytes=held.nbytes, path=held.path, upload=held
        )
        try:
            return self._add(side, item)
        except BaseException:
            item.close()
            raise

    def open_path(self, side: SideName, text: str) -> SideItem:
        """A file or folder below the roots, as the last one of a side.

        Raises:
            ApiError: it is not there, the page may not open it, or there are too many.
        """
        self._allowance.check(self._files)
        item = _path_item(self._roots.find(text))
        self._is_bare = False
        return self._add(side, item)

    def remove(self, side: SideName, item_id: str) -> None:
        """Take a file away. What was compared stays as it is.

        Raises:
            ApiError: there is no such file.
        """
        self._is_bare = False
        with self._lock:
            self._sides[side], item = self._sides[side].without(item_id)
        item.close()

    def arrange(self, side: SideName, order: Sequence[str], kind: SideKind) -> Side:
        """Put the files of a side in another order, and say what they are.

        Raises:
            ApiError: `order` does not name each of them once.
        """
        self._is_bare = False
        with self._lock:
            self._sides[side] = arranged = self._sides[side].arranged(order, kind)
        return arranged

    def swap(self) -> Mapping[SideName, Side]:
        """Let each side have what the other had. What was compared stays as it is."""
        self._is_bare = False
        with self._lock:
            self._sides = {"expected": self._sides["actual"], "actual": self._sides["expected"]}
            return dict(self._sides)

    @property
    def status(self) -> Progressed:
        """How far comparing has come."""
        return self._job.status

    async def changed(self, after: int, seconds: float) -> Progressed:
        """As `Job.changed`."""
        await self._job.changed(after, seconds)
        return self.status  # of another job, maybe

    def wake(self) -> None:
        """Let no call wait any more."""
        self._job.wake()

    def reading(self, revision: int | None = None) -> "contextlib.AbstractContextManager[Comparison]":
        """As `Job.reading`."""
        return self._job.reading(revision)

    def compare(self, settings: Mapping[str, Any]) -> Progressed:
        """Begin to compare both sides as they are now.

        Raises:
            ApiError: a side is empty.
        """
        self._check_open()
        sides = self.sides
        for side in SIDES:
            if not sides[side].items:
                raise ApiError(
                    f"the {side} side is empty", status=400, code="empty", hint="drop a file on it"
                )
        with self._beginning:
            own = self._own_job()
            if sides != self._compared:
                # A map is of the tensors that it was made for.
                self._compared, self._name_map = sides, self._options.name_map
            status = own.start(opener(sides, settings, self._options, self._roots, self._name_map))
            self._take(own)
        return status

    def alter(self, change: "Callable[[Comparison, Listener], Comparison]") -> Progressed:
        """As `Job.alter`. The map of the new comparison is also that of those that follow, as long as both
        sides stay as they are."""
        found: list[NameMap] = []

        def noted(comparison: "Comparison", listener: Listener) -> "Comparison":
            changed = change(comparison, listener)
            found.append(changed.name_map)
            return changed

        with self._beginning:
            own = self._own_job()
            status = own.alter(noted, source=self._job)
            self._take(own)
            self._name_map = found[0]
        return status

    def cancel(self) -> Progressed:
        """Stop what runs; what is ready stays. What other tabs look at, too, runs on for them."""
        with self._beginning:
            if self._job is not self._shared:
                return self._job.cancel()
            status = self._job.status
            if status.state in _RUNNING:
                cancelled = replace(status, state="cancelled", revision=status.revision + 1)
                self._take(Job(cancelled, places=self._places))
        return self.status

    def close(self) -> None:
        """Give everything back; may be called twice."""
        with self._lock:
            self._is_closed = True
            items = [item for side in SIDES for item in self._sides[side].items]
            self._sides = dict.fromkeys(SIDES, Side())
        with self._beginning:
            if self._job is not self._shared:
                self._job.close()
        for item in items:
            item.close()

    def join(self, seconds: float) -> bool:
        """Wait for what still runs after `close`; whether it has ended."""
        return self._job is self._shared or self._job.join(seconds)

    def as_dict(self) -> dict[str, Any]:
        """What the page is told."""
        sides = self.sides
        return {
            "session": self.id,
            "sides": {name: [item.as_dict() for item in side.items] for name, side in sides.items()},
            "as": {name: side.kind for name, side in sides.items()},
            "comparison": self.status.as_dict(),
        }

    def _add(self, side: SideName, item: SideItem) -> SideItem:
        with self._lock:
            self._check_open()
            self._sides[side] = self._sides[side].with_item(item)
        return item

    @property
    def _files(self) -> int:
        return sum(len(side.items) for side in self.sides.values())

    def _check_open(self) -> None:
        if self._is_closed:
            raise ApiError("this tab is not known any more", status=404, code="session", hint="reload it")

    def _own_job(self) -> Job:
        self._is_bare = False
        self._check_open()
        if self._job is not self._shared:
            return self._job
        return Job(Progressed(revision=self._job.status.revision + 1), places=self._places)

    def _take(self, own: Job) -> None:
        before, self._job = self._job, own
        if before is not own:
            before.wake()  # calls of this tab wait for what is not its job any more


def opener(
    sides: Mapping[SideName, Side],
    settings: Mapping[str, Any],
    options: Options,
    roots: Roots,
    name_map: "NameMap | None",
) -> "Callable[[Listener], Comparison]":
    """What makes the comparison of two sides, in a thread of its own."""

    def make(listener: Listener) -> "Comparison":
        load()
        from outgrow.compare.web.opening import open_comparison

        return open_comparison(
            sides, settings=settings, options=options, roots=roots, name_map=name_map, listener=listener
        )

    return make


def _path_item(path: Path) -> SideItem:
    try:
        size = path.stat().st_size if path.is_file() else 0
    except OSError:
        size = 0  # comparing will say what is the matter
    return SideItem(id=secrets.token_urlsafe(9), name=path.name or str(path), nbytes=size, path=path)
