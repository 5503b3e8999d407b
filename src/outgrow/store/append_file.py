"""A file that only grows, written around the page cache where the file system can.

Copying into the page cache costs the processor five to fifty times what a direct write does, most of it for
finding pages, and takes it from whoever computes meanwhile: 0.3 to 5 GB for a second of processor time
against 21 GB, on a virtual machine with two cores.
"""

__all__ = ["AppendFile"]

import errno
import mmap
import os
from pathlib import Path
from typing import Self

import numpy as np

_SLAB_BYTES = 2**22
_BLOCK_BYTES = 4096
# Below this a direct write, which waits for the disk, is not worth it.
_DIRECT_BYTES = 2**19


class AppendFile:
    """A new file, for its owner alone (0600). Not for two threads at once. Errors are `OSError`."""

    def __init__(self, path: Path) -> None:
        """Make the file.

        Raises:
            FileExistsError: it is there.
        """
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._direct = _open_direct(path)
        self._slab = mmap.mmap(-1, _SLAB_BYTES)
        self._bytes = np.frombuffer(self._slab, dtype=np.uint8)
        self._start = 0
        """Where in the file the slab begins: a multiple of a block."""
        self._used = 0
        """Bytes in the slab."""
        self._written = 0
        """How many of these are in the file already."""

    @property
    def end(self) -> int:
        """Bytes of the file, with what is not flushed yet."""
        return self._start + self._used

    def append(self, data: memoryview | bytes) -> None:
        """Put `data` at the end; it is in the file after the next `flush` at the latest."""
        left = np.frombuffer(data, dtype=np.uint8)
        while left.size:
            part = left[: _SLAB_BYTES - self._used]
            # numpy's copy lets other threads run meanwhile, that of a memoryview does not.
            np.copyto(self._bytes[self._used : self._used + part.size], part)
            self._used += part.size
            left = left[part.size :]
            if self._used == _SLAB_BYTES:
                self._write_blocks()

    def flush(self) -> None:
        """Have all that was appended in the file, where other processes see it and a crash of this one does
        no harm."""
        if self._direct is not None and self._used - self._written >= _DIRECT_BYTES:
            self._write_blocks()
        if self._written < self._used:
            rest = memoryview(self._slab)[self._written : self._used]
            _write_all(self._descriptor, rest, self._start + self._written)
            self._written = self._used

    def overwrite(self, data: bytes, offset: int) -> None:
        """Write over something near the beginning that was flushed before."""
        _write_all(self._descriptor, memoryview(data), offset)

    def truncate(self, nbytes: int) -> None:
        """Cut the file down to `nbytes`; nothing can be appended after that."""
        os.ftruncate(self._descriptor, nbytes)

    def sync(self) -> None:
        """Have all that was flushed survive a power cut."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close without flushing; may be called twice."""
        for descriptor in (self._descriptor, self._direct):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self._descriptor, self._direct = -1, None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _write_blocks(self) -> None:
        """Write all whole blocks of the slab and begin it anew with the rest."""
        whole = self._used - self._used % _BLOCK_BYTES
        if self._direct is not None and not self._write_direct(self._direct, whole):
            os.close(self._direct)
            self._direct = None
        if self._direct is None and self._written < whole:
            part = memoryview(self._slab)[self._written : whole]
            _write_all(self._descriptor, part, self._start + self._written)
        rest = self._used - whole
        self._bytes[:rest] = self._bytes[whole : self._used].copy()
        self._written = max(0, self._written - whole)
        self._start, self._used = self._start + whole, rest

    def _write_direct(self, descriptor: int, nbytes: int) -> bool:
        """Whether the file system could do it; some say only now that they cannot."""
        try:
            _write_all(descriptor, memoryview(self._slab)[:nbytes], self._start)
        except OSError as err:
            if err.errno != errno.EINVAL:
                raise
            return False
        return True


def _open_direct(path: Path) -> int | None:
    if not hasattr(os, "O_DIRECT"):
        return None
    try:
        return os.open(path, os.O_WRONLY | os.O_DIRECT)
    except OSError as err:
        if err.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return None
        raise


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    while data.nbytes:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
