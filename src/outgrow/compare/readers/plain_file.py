"""The bytes of a file, or of a part of one, read or mapped; never a link, a pipe or a device."""

__all__ = ["PlainFile"]

import io
import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from outgrow.compare.readers.advice import COPY_AGAIN
from outgrow.compare.readers.pages import map_pages
from outgrow.errors import InputError, StoreError, hint_for
from outgrow.store import StoreChanged

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
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
    identity: tuple[int, ...]
    """Device and inode, and unless it may grow, size and time of the last change, when it was first looked
    at."""
    shown: str
    """What people call it."""
    is_part: bool
    """Whether it is a part of a file that somebody else has looked at: an archive, or a temporary file, which
    may be a link of `/proc`."""
    may_grow: bool
    """Whether it is a part of a temporary file, which others may still write to behind it."""

    @classmethod
    def of(cls, path: Path, region: tuple[int, int] | None = None, entry: str | None = None) -> Self:
        """Look at a file without reading it. `entry` is what people call a part of a file.

        Raises:
            InputError: it is not a regular file, or shorter than `region` says.
            StoreError: it cannot be opened.
        """
        try:
            found = path.lstat() if region is None else path.stat()
        except (OSError, ValueError) as err:
            raise StoreError(
                f"cannot be opened: {getattr(err, 'strerror', None) or err}",
                hint=hint_for(err)
                if isinstance(err, OSError)
                else "no file has such a name: look at the path",
            ) from err
        # Before it is opened: opening a device can do things, opening a pipe can wait for ever.
        if not stat.S_ISREG(found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a regular file")
            raise InputError(f"is {kind}", hint="give the file itself")
        start, length = (0, found.st_size) if region is None else region
        if start < 0 or length < 0 or start + length > found.st_size:
            raise InputError(
                f"should end at byte {start + length:,} of a file of {found.st_size:,} bytes", hint=COPY_AGAIN
            )
        is_part = region is not None
        may_grow = is_part and _may_grow(path)
        return cls(
            path=path,
            start=start,
            length=length,
            identity=_identity(found, may_grow=may_grow),
            shown=entry if is_part and entry is not None else str(path),
            is_part=is_part,
            may_grow=may_grow,
        )

    def read(self, offset: int, nbytes: int) -> bytes:
        """Exactly `nbytes` bytes, fewer than 2 GiB.

        Raises:
            InputError: the file ends before.
            StoreError: reading failed, or the file changed since.
        """
        self._check(offset, nbytes)
        with self._open() as file:
            try:
                data = os.pread(file.fileno(), nbytes, self.start + offset)
            except OSError as err:
                raise StoreError(
                    f"cannot read {self.shown!r}: {err.strerror or err}", hint=hint_for(err)
                ) from err
        if len(data) != nbytes:
            raise StoreError(
                f"{self.shown!r} ended at byte {self.start + offset + len(data):,}",
                hint="it became shorter while it was read: let whoever writes it finish, and open it again",
            )
        return data

    def open(self) -> io.BufferedReader:
        """As a binary file of its own, to be closed.

        Raises:
            StoreError: it cannot be opened, or changed since.
        """
        return io.BufferedReader(_Window(self._open(), self.start, self.length))

    def map(self, offset: int, nbytes: int) -> memoryview:
        """As `read`, but as pages of the file that the system takes back when it needs memory.

        They may be written to as far as Python is concerned (torch warns of anything else); that would change
        a copy, not the file.
        """
        self._check(offset, nbytes)
        if nbytes == 0:
            return memoryview(bytearray())
        with self._open() as file:
            try:
                return map_pages(file.fileno(), self.start + offset, nbytes)
            except OSError as err:
                raise StoreError(
                    f"cannot map {self.shown!r}: {err.strerror or err}", hint=hint_for(err)
                ) from err

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
            raise InputError(
                f"ends at byte {self.length:,}, but byte {offset + nbytes:,} was to be read", hint=COPY_AGAIN
            )

    def _open(self) -> io.FileIO:
        flags = _FLAGS if self.is_part else _FLAGS | os.O_NOFOLLOW
        try:
            file = io.FileIO(self.path, "rb", opener=lambda name, _: os.open(name, flags))
        except OSError as err:
            raise StoreError(
                f"cannot open {self.shown!r}: {err.strerror or err}", hint=hint_for(err)
            ) from err
        found = os.fstat(file.fileno())
        # A page of a mapped file that ends before it kills the process.
        is_cut = found.st_size < self.start + self.length
        if is_cut or _identity(found, may_grow=self.may_grow) != self.identity:
            file.close()
            raise StoreChanged(
                f"{self.shown!r} was changed or replaced since it was opened", hint="open it again"
            )
        return file


class _Window(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, file: io.FileIO, start: int, length: int) -> None:
        self._file = file
        self._start = start
        self._length = length
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        return self._at

    def readinto(self, into: Any) -> int:
        part = memoryview(into)[: max(0, self._length - self._at)]
        count = os.preadv(self._file.fileno(), [part], self._start + self._at)
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _may_grow(path: Path) -> bool:
    """Temporary files have no name where the system has `/proc`; elsewhere any part may be of one."""
    return path.is_relative_to("/proc") or not Path("/proc/self/fd").is_dir()


def _identity(found: os.stat_result, *, may_grow: bool) -> tuple[int, ...]:
    whole = () if may_grow else (found.st_size, found.st_mtime_ns)
    return found.st_dev, found.st_ino, *whole
