"""All tabs that the server knows."""

__all__ = ["Sessions"]

import threading

from outgrow.compare.web.options import Options
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.session import Session

_BUSY_SECONDS = 60.0


class Sessions:
    """Sessions by their random id. Those that were idle for too long are closed when a new one comes."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}

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
        session = Session(self._options)
        with self._lock:
            gone = self._make_room()
            self._sessions[session.id] = session
        for old in gone:
            old.close()
        session.begin()
        return session

    def end(self, session: Session) -> None:
        """Forget and close it."""
        with self._lock:
            self._sessions.pop(session.id, None)
        session.close()

    def close(self) -> None:
        """Close all."""
        with self._lock:
            sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            session.close()

    def _make_room(self) -> list[Session]:
        by_age = sorted(self._sessions.values(), key=lambda session: -session.idle_seconds)
        gone = [session for session in by_age if session.idle_seconds > self._options.idle_seconds]
        if len(by_age) - len(gone) >= self._options.max_sessions:
            oldest = by_age[len(gone)]
            if oldest.idle_seconds < _BUSY_SECONDS:
                raise ApiError(
                    f"{self._options.max_sessions} tabs are open already",
                    status=503, code="sessions", hint="close one of them",
                )  # fmt: skip
            gone.append(oldest)
        for session in gone:
            del self._sessions[session.id]
        return gone
