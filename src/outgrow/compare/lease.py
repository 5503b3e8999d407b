"""Open recordings that several comparisons share."""

__all__ = ["Lease"]

import contextlib
import threading
from collections.abc import Sequence

from outgrow.capture.recording import Recording
from outgrow.errors import InputError


class Lease:
    """One holder's right to open recordings. They are closed when the last lease on them is given back."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        """The first one; `share` makes all others."""
        self._recordings = tuple(recordings)
        self._count = [1]
        self._lock = threading.Lock()
        self._is_held = True

    def share(self) -> "Lease":
        """Another one, for another holder.

        Raises:
            InputError: this one was given back, so that nobody may be left to keep the recordings open.
        """
        with self._lock:
            if not self._is_held:
                raise InputError("this comparison is closed", hint="make the new one before closing it")
            other = object.__new__(Lease)
            other._recordings, other._count, other._lock = self._recordings, self._count, self._lock
            other._is_held = True
            self._count[0] += 1
            return other

    def close(self) -> None:
        """Give it back; may be called twice."""
        with self._lock:
            if not self._is_held:
                return
            self._is_held = False
            self._count[0] -= 1
            is_last = self._count[0] == 0
        if is_last:
            with contextlib.ExitStack() as stack:
                for recording in self._recordings:
                    stack.callback(recording.close)
