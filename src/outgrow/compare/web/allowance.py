"""How much a tab may upload."""

__all__ = ["Allowance"]

import threading

from outgrow.compare.web.refusal import ApiError


class Allowance:
    """Counts bytes and files that are kept, and uploads that are on their way. Any thread may ask."""

    def __init__(self, *, max_bytes: int, max_files: int, max_running: int) -> None:
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._max_running = max_running
        self._lock = threading.Lock()
        self._bytes = 0
        self._running = 0

    def reserve(self, nbytes: int) -> None:
        """So many bytes more, or fewer.

        Raises:
            ApiError: they are too many.
        """
        with self._lock:
            if nbytes > 0 and self._bytes + nbytes > self._max_bytes:
                raise ApiError(
                    f"the uploads of this tab have more than {self._max_bytes:,} bytes",
                    status=413, code="too-large", hint="remove some, or give paths to `outgrow web`",
                )  # fmt: skip
            self._bytes += nbytes

    def check(self, files: int) -> None:
        """Whether one may come to `files` that are there and those on their way.

        Raises:
            ApiError: there are too many.
        """
        if files + self._running >= self._max_files:
            raise ApiError(
                f"a tab takes {self._max_files:,} files",
                status=429, code="files", hint="put them into one archive: .zip or .tar",
            )  # fmt: skip

    def begin(self, files: int) -> None:
        """An upload comes to `files` that are there; `end` is to follow.

        Raises:
            ApiError: there are too many.
        """
        with self._lock:
            self.check(files)
            if self._running >= self._max_running:
                raise ApiError(
                    f"{self._max_running} uploads are on their way already",
                    status=429, code="busy", hint="wait for one of them",
                )  # fmt: skip
            self._running += 1

    def end(self) -> None:
        """It has come, or it has not."""
        with self._lock:
            self._running -= 1
