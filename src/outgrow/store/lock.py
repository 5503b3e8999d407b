"""One process at a time: locks that vanish with the process that holds them."""

__all__ = ["StoreLocked", "lock_directory", "lock_file"]

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from outgrow.errors import StoreError
from outgrow.store.writer import make_private_directory

_BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)


class StoreLocked(StoreError):
    """Another process, or another part of this one, is writing there."""


@contextmanager
def lock_directory(directory: Path | str) -> Iterator[None]:
    """Keep every other process that asks for the same lock out of `directory`, which is made (0700) if it is
    not there.

    The lock goes with the block, or with the process however it ends. It is not waited for.

    Raises:
        StoreLocked: somebody else holds it; the process is named.
        StoreError: the directory cannot be written, or its file system has no locks.
    """
    make_private_directory(Path(directory))
    with lock_file(Path(directory) / ".outgrow.lock", subject=Path(directory)):
        yield


@contextmanager
def lock_file(path: Path, *, subject: Path | None = None) -> Iterator[None]:
    """Hold `path` as a lock; it is made for that and removed afterwards. Errors speak of `subject`.

    Raises:
        StoreLocked: somebody else holds it.
        StoreError: it cannot be made, or its file system has no locks.
    """
    subject = subject or path
    try:
        descriptor = _acquire(path)
    except OSError as err:
        if err.errno in _BUSY:
            raise StoreLocked(
                f"{str(subject)!r} is in use by {_holder(path)}",
                hint="wait until it has finished, or choose another directory",
            ) from err
        raise StoreError(
            f"cannot lock {str(subject)!r}: {err.strerror or err}",
            hint="the directory must be writable, on a file system with locks",
        ) from err
    try:
        yield
    finally:
        # Removed before it is released: whoever opened it meanwhile sees that, and takes a new one.
        if sys.platform != "win32":
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _lock(descriptor)
            if _is_at(path, descriptor):
                os.truncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # A byte far behind the number of the process, which others must be able to read.
        os.lseek(descriptor, 2**20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is still the one that others find; whoever held it before may have removed it."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        number = path.read_text().strip()
    except OSError:
        number = ""
    if number == str(os.getpid()):
        return f"this very process ({number})"
    return f"process {number}" if number.isdigit() else "another process"
