"""The bytes of a file, or of a part of one, read or mapped; never a link, a pipe or a device."""

__all__ = ["PlainFile"]

import io
import math
import mmap
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from outgrow.errors import InputError, StoreError
from outgrow.store import StoreChanged

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainFile:
    """A regular file, or a part of one. Nothing stays open between two calls."""

    path: Path
    start: int
    """Where it begins in `path`, in bytes."""
    length: int
    """Its bytes."""
    identity: tuple[int, int, int, int]
    """Device, inode, size and time of the last change when it was first looked at."""

    @classmethod
    def of(cls, path: Path, region: tuple[int, int] | None = None) -> Self:
        """Look at a file without reading it.

        Raises:
            InputError: it is not a regular file, or shorter than `region` says.
            StoreError: it cannot be opened.
        """
        try:
            found = path.lstat()
            # Before it is opened: opening a device can do things, opening a pipe can wait for ever.
            if not stat.S_ISREG(found.st_mode):
                kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a regular file")
                raise InputError(f"is {kind}", hint="give the file itself")
        except (OSError, ValueError) as err:
            raise StoreError(f"cannot be opened: {getattr(err, 'strerror', None) or err}") from err
        start, length = (0, found.st_size) if region is None else region
        if start < 0 or length < 0 or start + length > found.st_size:
            raise InputError(f"should end at byte {start + length:,} of a file of {found.st_size:,} bytes")
        return cls(path=path, start=start, length=length, identity=_identity(found))

    def read(self, offset: int, nbytes: int) -> bytes:
        """Exactly `nbytes` bytes.

        Raises:
            InputError: the file ends before.
            StoreError: reading failed, or the file changed since.
        """
        self._check(offset, nbytes)
        with self._open() as file:
            try:
                data = os.pread(file.fileno(), nbytes, self.start + offset)
                while len(data) < nbytes:  # a single call gives at most 2 GiB
                    more = os.pread(file.fileno(), nbytes - len(data), self.start + offset + len(data))
                    if not more:
                        raise StoreError(f"{str(self.path)!r} was cut short while it was read")
                    data += more
            except OSError as err:
                raise StoreError(f"cannot read {str(self.path)!r}: {err.strerror or err}") from err
        return data

    def map(self, offset: int, nbytes: int) -> memoryview:
        """As `read`, but as pages of the file that the system takes back when it needs memory.

        They may be written to as far as Python is concerned (torch warns of anything else); that would change
        a copy, not the file.
        """
        self._check(offset, nbytes)
        if nbytes == 0:
            return memoryview(bytearray())
        begin = self.start + offset
        skipped = begin % mmap.ALLOCATIONGRANULARITY
        with self._open() as file:
            try:
                pages = mmap.mmap(
                    file.fileno(), skipped + nbytes, access=mmap.ACCESS_COPY, offset=begin - skipped
                )
            except (OSError, ValueError) as err:
                raise StoreError(f"cannot map {str(self.path)!r}: {err}") from err
        return memoryview(pages)[skipped:]

    def tensor(self, offset: int, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
        """A contiguous tensor whose bytes lie in the file, mapped; a copy where they are not aligned."""
        count = math.prod(shape)
        if count == 0:
            return torch.empty(shape, dtype=dtype)
        data = self.map(offset, count * dtype.itemsize)
        if (self.start + offset) % dtype.itemsize:
            # Compiled loops may count on aligned numbers; files need not keep to that.
            data = memoryview(bytearray(data))
        return torch.frombuffer(data, dtype=dtype, count=count).reshape(shape)

    def _check(self, offset: int, nbytes: int) -> None:
        if offset < 0 or nbytes < 0 or offset + nbytes > self.length:
            raise InputError(f"ends at byte {self.length:,}, but byte {offset + nbytes:,} was to be read")

    def _open(self) -> io.FileIO:
        try:
            file = io.FileIO(self.path, "rb", opener=lambda name, _: os.open(name, _FLAGS))
        except OSError as err:
            raise StoreError(f"cannot open {str(self.path)!r}: {err.strerror or err}") from err
        if _identity(os.fstat(file.fileno())) != self.identity:
            file.close()
            raise StoreChanged(
                f"{str(self.path)!r} was changed or replaced since it was opened", hint="open it again"
            )
        return file


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
