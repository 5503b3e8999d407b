"""Reads by copying out of a mapping of the file: the page cache with nothing between."""

__all__ = ["MmapReader"]

import mmap
import os
import threading
from pathlib import Path
from typing import Self

import numpy as np

from outgrow.errors import StoreError, hint_for
from outgrow.store.readers.descriptors import OpenFiles, checked_buffer, fill


class MmapReader:
    """A `Reader` out of mappings, one a file. Good where the file is in the page cache already.

    A mapping cannot tell of a failing disk: the process is ended by a signal (SIGBUS) instead. The file's
    size is looked at before each read, so that a file which was truncated meanwhile is an error like any
    other.
    """

    name = "mmap"
    alignment = 1

    def __init__(self) -> None:
        self._files = OpenFiles(getattr(os, "O_BINARY", 0))
        self._maps: dict[Path, mmap.mmap] = {}
        self._lock = threading.Lock()

    def read_into(self, path: Path, offset: int, into: memoryview, *, needed: int | None = None) -> int:
        """As `Reader.read_into`."""
        into, needed = checked_buffer(path, offset, into, needed)
        with self._files.use(path) as file:
            size = os.fstat(file.fileno()).st_size

            def read_some(position: int, part: memoryview) -> int:
                count = min(part.nbytes, size - position)
                if count <= 0:
                    return 0
                # numpy lets other threads run while it copies; slices of bytes do not.
                source = np.frombuffer(self._map(path, file.fileno(), size), np.uint8, count, position)
                np.copyto(np.frombuffer(part, np.uint8, count), source)
                return count

            return fill(read_some, path, offset, into, needed, size_bytes=lambda: size)

    def close(self) -> None:
        """As `Reader.close`."""
        self._files.close()
        with self._lock:
            for mapping in self._maps.values():
                mapping.close()
            self._maps.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _map(self, path: Path, descriptor: int, size: int) -> mmap.mmap:
        with self._lock:
            mapping = self._maps.get(path)
            if mapping is None or len(mapping) < size:
                try:
                    mapping = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
                except OSError as err:
                    raise StoreError(
                        f"cannot map {str(path)!r}: {err.strerror or err}", hint=hint_for(err)
                    ) from err
                self._maps[path] = mapping
            return mapping
