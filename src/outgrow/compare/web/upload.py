"""A file that a browser sends, in a nameless temporary file."""

__all__ = ["Upload"]

import errno
import os
import resource
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Self, cast

from outgrow.compare.web.refusal import ApiError

# For connections, and for reading what was uploaded.
_SPARE_FILES = 256
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_HINT = "set TMPDIR to a folder on a larger disk, or give the path to `outgrow web`"


class Upload:
    """Bytes as they come. The file has no name, so that nothing is left of it however the process ends.

    Whoever reads from it holds it; it goes when the last holder closes it.
    """

    def __init__(self, *, max_bytes: int, reserve: Callable[[int], None] = lambda _: None) -> None:
        """`reserve` is asked before anything is kept: bytes more, or fewer at the end; it may raise.

        Raises:
            ApiError: no temporary file can be made.
        """
        self._max_bytes = max_bytes
        self._reserve = reserve
        self._lock = threading.Lock()
        self._holders = 1
        try:
            # Unlinked from the beginning, mode 0600.
            self._file = cast("BinaryIO", tempfile.TemporaryFile(prefix="outgrow-"))  # noqa: SIM115
        except OSError as err:
            raise _disk_error(err) from err
        # The lowest free number is taken: it says how many there are.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if most != resource.RLIM_INFINITY and self._file.fileno() >= most - _SPARE_FILES:
            self._file.close()
            raise _too_many()
        self.nbytes = 0
        """So far."""

    @property
    def path(self) -> Path:
        """Where this process can open it for reading, as long as somebody holds it."""
        return Path(f"/proc/self/fd/{self._file.fileno()}")

    def require(self, nbytes: int) -> None:
        """See that so many bytes in all will fit.

        Raises:
            ApiError: they will not.
        """
        if nbytes > self._max_bytes:
            raise self._too_large()
        status = os.fstatvfs(self._file.fileno())
        free = status.f_bavail * status.f_frsize
        if nbytes > free:
            where = tempfile.gettempdir()
            raise ApiError(
                f"the upload has {nbytes:,} bytes, and {where!r} has {free:,} bytes free",
                status=507, code="disk", hint=_HINT,
            )  # fmt: skip

    def write(self, data: bytes | bytearray) -> None:
        """Append a piece.

        Raises:
            ApiError: it is too large, or the disk is full.
        """
        if self.nbytes + len(data) > self._max_bytes:
            raise self._too_large()
        self._reserve(len(data))
        self.nbytes += len(data)
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file.fileno(), view) :]
        except OSError as err:
            raise _disk_error(err) from err

    def hold(self) -> Self:
        """Another holder, who is to close it, too.

        Raises:
            ApiError: the last one has closed it.
        """
        with self._lock:
            if not self._holders:
                raise ApiError("the upload was removed", status=409, code="gone", hint="upload it again")
            self._holders += 1
        return self

    def close(self) -> None:
        """Once for each holder; with the last one it is gone."""
        with self._lock:
            self._holders -= 1
            is_last = self._holders == 0
        if is_last:
            self._file.close()
            self._reserve(-self.nbytes)

    def _too_large(self) -> ApiError:
        return ApiError(
            f"the upload has more than {self._max_bytes:,} bytes",
            status=413,
            code="too-large",
            hint="give its path to `outgrow web` instead, or raise --max-upload",
        )


def _disk_error(err: OSError) -> ApiError:
    if err.errno in (errno.EMFILE, errno.ENFILE):
        return _too_many()
    return ApiError(
        f"cannot keep the upload: {err.strerror or err}",
        status=507 if err.errno in _FULL else 500,
        code="disk",
        hint=_HINT,
    )


def _too_many() -> ApiError:
    return ApiError(
        "the server has too many files open",
        status=503, code="files", hint="put them into one archive: .zip or .tar",
    )  # fmt: skip
