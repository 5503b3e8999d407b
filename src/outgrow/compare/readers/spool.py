"""Where unpacked bytes wait to be read: one nameless file, that nothing can leave behind."""

__all__ = ["Spool"]

import errno
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Self

from outgrow.errors import StoreError

# Tensors in a torch file begin at multiples of this, counted from its own beginning: so they do in memory.
_ALIGNMENT = 64
_HINT = "set TMPDIR to a folder on a larger disk, or unpack the archive there and give the folder"


class Spool:
    """An append-only temporary file; what is unpacked lies in it one piece behind the other.

    On Linux the file has no name from the moment it exists (`O_TMPFILE`, or unlinked at once where the file
    system has none), so that nobody else can open it and that even a killed process leaves nothing. Other
    readers find it under `path`, in `/proc/self/fd`, as long as it is open. Where there is no `/proc`, it is
    a file with a random name in a folder of its own (mode 0700) that goes with `close` and with the
    interpreter, but stays when the process is killed.

    No name of an archive's entry ever reaches the file system.
    """

    def __init__(self) -> None:
        """Nothing is created before the first byte comes."""
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._where = "the folder for temporary files"
        self._remove: Callable[[], object] = _nothing
        self.size = 0
        """Bytes in it, padding included."""
        self.is_closed = False

    @property
    def path(self) -> Path:
        """Where it can be opened for reading by this process.

        Raises:
            StoreError: no temporary file can be made.
        """
        if self._path is None:
            self._open()
        assert self._path is not None
        return self._path

    def begin(self) -> int:
        """Where the next piece begins: behind the last one, aligned."""
        return self.size + (-self.size % _ALIGNMENT)

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes at `offset`, which is `begin()` or the end of what was written since.

        Raises:
            StoreError: the disk is full, or the file cannot be written; what was written before stays.
        """
        _ = self.path
        assert self._file is not None
        view = memoryview(data)
        while view:
            try:
                done = os.pwrite(self._file.fileno(), view, offset)
            except OSError as err:
                raise self._write_error(err) from err
            offset += done
            view = view[done:]
        self.size = max(self.size, offset)

    def drop(self, offset: int) -> None:
        """Forget all from `offset` on: the piece that began there is not wanted after all."""
        if self._file is not None and self.size > offset:
            os.ftruncate(self._file.fileno(), offset)
            self.size = offset

    def require(self, nbytes: int) -> None:
        """See that so many bytes more will fit.

        Raises:
            StoreError: they will not.
        """
        if nbytes <= 0:
            return
        _ = self.path
        assert self._file is not None
        status = os.fstatvfs(self._file.fileno())
        free = status.f_bavail * status.f_frsize
        if nbytes > free:
            raise StoreError(
                f"{nbytes:,} bytes have to be unpacked into {self._where!r}, which has {free:,} bytes free",
                hint=_HINT,
            )

    def close(self) -> None:
        """Remove it; may be called twice."""
        self.is_closed = True
        if self._file is not None:
            self._file.close()
            self._file = None
        self._remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _open(self) -> None:
        if self.is_closed:
            raise StoreError(
                "the archive was closed, and what was unpacked of it is gone", hint="open it again"
            )
        try:
            self._where = tempfile.gettempdir()
            if Path("/proc/self/fd").is_dir():
                self._file = tempfile.TemporaryFile(prefix="outgrow-")  # noqa: SIM115
                self._path = Path(f"/proc/self/fd/{self._file.fileno()}")
                return
            folder = Path(tempfile.mkdtemp(prefix="outgrow-"))
            self._remove = weakref.finalize(self, shutil.rmtree, folder, True)
            self._path = folder / "unpacked"
            self._file = self._path.open("xb")
        except OSError as err:
            self.close()
            raise self._write_error(err) from err

    def _write_error(self, err: OSError) -> StoreError:
        if err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return StoreError(
                f"{self._where!r} is full; nothing of what was unpacked stays there", hint=_HINT
            )
        return StoreError(f"cannot unpack into {self._where!r}: {err.strerror or err}", hint=_HINT)


def _nothing() -> None:
    return
