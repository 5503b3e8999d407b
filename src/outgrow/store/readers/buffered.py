"""Reads through the operating system's page cache: works everywhere, at any offset."""

__all__ = ["BufferedReader"]

import os
import threading
from pathlib import Path
from typing import Self

from outgrow.store.readers.descriptors import OpenFiles, checked_buffer, fill


class BufferedReader:
    """A `Reader` of any file system. Where the platform has `preadv`, threads read at the same time."""

    name = "buffered"
    alignment = 1

    def __init__(self) -> None:
        self._files = OpenFiles(getattr(os, "O_BINARY", 0))
        # Without preadv, position and read are two calls that must not be torn apart.
        self._seeking = threading.Lock()

    def read_into(self, path: Path, offset: int, into: memoryview, *, needed: int | None = None) -> int:
        """As `Reader.read_into`."""
        into, needed = checked_buffer(path, offset, into, needed)
        with self._files.use(path) as file:

            def read_some(position: int, part: memoryview) -> int:
                if hasattr(os, "preadv"):
                    return os.preadv(file.fileno(), [part], position)
                with self._seeking:
                    file.seek(position)
                    return file.readinto(part) or 0

            return fill(
                read_some, path, offset, into, needed, size_bytes=lambda: os.fstat(file.fileno()).st_size
            )

    def close(self) -> None:
        """As `Reader.close`."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
