"""A file that a browser sends, in a nameless temporary file."""

__all__ = ["Upload"]

import errno
import os
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from outgrow.compare.web.refusal import ApiError


class Upload:
    """Bytes as they come. The file has no name, so that nothing is left of it however the process ends."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # Unlinked from the beginning, mode 0600.
        self._file = cast("BinaryIO", tempfile.TemporaryFile(prefix="outgrow-"))  # noqa: SIM115
        self.nbytes = 0

    @property
    def path(self) -> Path:
        """Where this process can open it for reading."""
        return Path(f"/proc/self/fd/{self._file.fileno()}")

    def write(self, data: bytes) -> None:
        """Append a piece.

        Raises:
            ApiError: it is too large, or the disk is full.
        """
        if self.nbytes + len(data) > self._max_bytes:
            raise ApiError(
                f"the upload has more than {self._max_bytes:,} bytes",
                status=413,
                code="too-large",
                hint="give its path to `outgrow web` instead, or raise --max-upload",
            )
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file.fileno(), view) :]
        except OSError as err:
            full = err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            raise ApiError(
                f"cannot keep the upload: {err.strerror or err}",
                status=507 if full else 500,
                code="disk",
                hint="set TMPDIR to a folder on a larger disk, or give the path to `outgrow web`",
            ) from err
        self.nbytes += len(data)

    def close(self) -> None:
        """Remove it; may be called twice."""
        self._file.close()
