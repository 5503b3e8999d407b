"""Reads past the page cache (`O_DIRECT`): the disk writes straight into the caller's memory."""

__all__ = ["DirectReader", "direct_works"]

import errno
import mmap
import os
from pathlib import Path
from typing import Self

import numpy as np

from outgrow.errors import InputError
from outgrow.store.readers.descriptors import OpenFiles, checked_buffer, fill

_FLAG: int = getattr(os, "O_DIRECT", 0)
# Devices ask for 512 or 4096 bytes. Offsets at whole pages suit both, and a page is what buffers are aligned
# to anyway.
_ALIGNMENT = 4096


class DirectReader:
    """A `Reader` that leaves the page cache alone, so that reading costs no memory and no copy.

    Offset, address and length must be multiples of `alignment`. Requests go to the disk as they come: the
    caller splits a large weight among threads, in parts of 1 MiB or more (smaller ones cost bandwidth).
    """

    name = "direct"
    alignment = _ALIGNMENT

    def __init__(self) -> None:
        if not _FLAG:
            raise InputError("this platform has no O_DIRECT", hint="use the 'buffered' reader, or 'auto'")
        self._files = OpenFiles(_FLAG)

    def read_into(self, path: Path, offset: int, into: memoryview, *, needed: int | None = None) -> int:
        """As `Reader.read_into`."""
        into, needed = checked_buffer(path, offset, into, needed)
        address = np.frombuffer(into, np.uint8).ctypes.data if into.nbytes else 0
        if (offset | address | into.nbytes) % _ALIGNMENT:
            raise InputError(
                f"a direct read of {str(path)!r} needs multiples of {_ALIGNMENT}: offset {offset}, "
                f"address {address:#x}, length {into.nbytes}",
                hint="round the range outwards and read into page-aligned memory",
            )
        with self._files.use(path) as file:
            descriptor = file.fileno()
            return fill(
                lambda position, part: os.preadv(descriptor, [part], position),
                path,
                offset,
                into,
                needed,
                size_bytes=lambda: os.fstat(descriptor).st_size,
                alignment=_ALIGNMENT,
            )

    def close(self) -> None:
        """As `Reader.close`."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def direct_works(path: Path) -> bool:
    """Whether the file system of the file at `path` takes `O_DIRECT` reads, by reading a page once.

    Raises:
        OSError: the file cannot be read at all.
    """
    if not _FLAG or not hasattr(os, "preadv"):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAG)
    except OSError as err:
        if err.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return False
        raise
    try:
        with mmap.mmap(-1, _ALIGNMENT) as page:
            os.preadv(descriptor, [page], 0)
    except OSError as err:
        if err.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.EIO):
            return False
        raise
    finally:
        os.close(descriptor)
    return True
