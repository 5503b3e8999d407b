"""All tabs that the server knows."""

__all__ = ["Sessions"]

import threading
import time

from outgrow.compare.web.job import Job
from outgrow.compare.web.options import Options
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.roots import Roots
from outgrow.compare.web.session import Session, opener

# A page calls every 20 seconds, one in the background at least once a minute.
_BUSY_SECONDS = 60.0
# Who went to another page comes back to this one before that, or not.
_LEFT_SECONDS = 600.0


class Sessions:
    """Sessions by their random id. Those that were idle for too long are closed.

    What the server was started with is compared once, for all tabs that look at it.
    """

    def __init__(self, options: Options, roots: Roots) -> None:
        self._options = options
        self._roots = roots
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._closing: list[Session] = []
        self._places = threading.Semaphore(options.max_comparisons)
        has_runs = options.expected is not None and bool(options.actual)
        self._shared = Job(places=self._places) if has_runs else None

    def start(self) -> None:
        """Compare what the server was started with, before the first tab asks."""
        if self._shared is not None:
            sides = Session(self._options, self._roots).sides
            self._shared.start(opener(sides, {}, self._options, self._roots, self._options.name_map))

    def find(self, session_id: str) -> Session:
        """The session of that id.

        Raises:
            ApiError: there is none.
        """
        with self._lock:
            session = self._sessions.get(session_id)
        if session is None:
            raise ApiError(
                "this tab is not known any more", status=404, code="session", hint="reload the page"
            )
        session.touch()
        return session

    def begin(self) -> Session:
        """A new one, with what the server was started with.

        Raises:
            ApiError: there are too many, and all of them are in use.
        """
        session = Session(self._options, self._roots, shared=self._shared, places=self._places)
        with self._lock:
            gone = self._make_room()
            self._sessions[session.id] = session
        self._close(gone)
        return session

    def end(self, session: Session) -> None:
        """Forget and close it."""
        with self._lock:
            self._sessions.pop(session.id, None)
        self._close([session])

    def sweep(self) -> None:
        """Close those that were idle for too long."""
        with self._lock:
            gone = self._idle()
            for session in gone:
                del self._sessions[session.id]
        self._close(gone)

    def wake(self) -> None:
        """Let no call wait any more."""
        for session in list(self._sessions.values()):
            session.wake()

    def close(self, seconds: float = 0.0) -> bool:
        """Close all, and wait for their threads; whether all have ended."""
        with self._lock:
            sessions, self._sessions = list(self._sessions.values()), {}
        self._close(sessions)
        if self._shared is not None:
            self._shared.close()
        until = time.monotonic() + seconds
        has_ended = True
        for session in self._closing:
            has_ended &= session.join(max(0.0, until - time.monotonic()))
        if self._shared is not None:
            has_ended &= self._shared.join(max(0.0, until - time.monotonic()))
        return has_ended

    def _close(self, sessions: list[Session]) -> None:
        for session in sessions:
            session.close()
        with self._lock:
            self._closing = [session for session in (*self._closing, *sessions) if not session.join(0)]

    def _idle(self) -> list[Session]:
        return [
            session
            for session in self._sessions.values()
            if session.idle_seconds > self._options.idle_seconds
            or (session.has_left and session.idle_seconds > _LEFT_SECONDS)
        ]

    def _make_room(self) -> list[Session]:
        gone = self._idle()
        if len(self._sessions) - len(gone) >= self._options.max_sessions:
            rest = [session for session in self._sessions.values() if session not in gone]
            # A tab with nothing of its own gets the same again when it asks.
            oldest = max(rest, key=lambda session: (session.is_bare, session.has_left, session.idle_seconds))
            is_wanted = not (oldest.is_bare or oldest.has_left)
            if is_wanted and oldest.idle_seconds < _BUSY_SECONDS:
                raise ApiError(
                    f"{self._options.max_sessions} tabs are open already",
                    status=503, code="sessions", hint="close one of them",
                )  # fmt: skip
            gone.append(oldest)
        for session in gone:
            del self._sessions[session.id]
        return gone
