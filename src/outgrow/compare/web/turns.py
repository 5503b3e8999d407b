"""Of several calls that ask for the same in a row, only the latest is answered."""

__all__ = ["Turn", "Turns"]

import contextlib
import threading
import time
from collections.abc import Hashable, Iterator

from outgrow.compare.web.refusal import ApiError

_MOST_SECONDS = 60.0


class Turn:
    """One call on its way; a listener of whatever works for it. Any thread may use it."""

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self._until = time.monotonic() + _MOST_SECONDS

    def end(self) -> None:
        """Nobody waits for the answer any more."""
        self._is_over.set()

    def __call__(self, _: object = None, /) -> None:
        """Go on.

        Raises:
            ApiError: nobody waits for it any more, or it has taken too long.
        """
        if self._is_over.is_set():
            raise ApiError("this call was cancelled", status=499, code="cancelled", hint="ask again")
        if time.monotonic() > self._until:
            raise ApiError(
                f"this took more than {_MOST_SECONDS:.0f} seconds",
                status=503, code="too-long", hint="look at a part of the tensor",
            )  # fmt: skip


class Turns:
    """Whose turn it is, by what is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[Hashable, Turn] = {}

    @contextlib.contextmanager
    def take(self, key: Hashable | None) -> Iterator[Turn]:
        """End the turn of whoever asked for it before, and have it until the end of the block. Any number may
        ask for None."""
        turn = Turn()
        if key is None:
            yield turn
            return
        with self._lock:
            before = self._turns.get(key)
            self._turns[key] = turn
        if before is not None:
            before.end()
        try:
            yield turn
        finally:
            with self._lock:
                if self._turns.get(key) is turn:
                    del self._turns[key]
