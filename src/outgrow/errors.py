"""The families of errors that every room raises, each with a hint on what the reader can do."""

__all__ = [
    "DeviceError",
    "InputError",
    "OutgrowError",
    "RemoteError",
    "StoreError",
    "hint_for",
    "nearest_names",
    "no_temporary_directory",
]

import difflib
import errno
from collections.abc import Iterable

_SPACE = "free some space, or choose a place on another disk"
_ALLOWED = "give yourself the right to it, or choose a place where you have it"
_OPEN_FILES = "too many files are open: close some, or allow more with `ulimit -n`"
_THERE = "see that it, and the directory that it lies in, are there"
_MEMORY = "the system has no memory left for it: end other programs, or allow more with `ulimit -v`"
_hints = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.EACCES: _ALLOWED,
    errno.EPERM: _ALLOWED,
    errno.EROFS: "this file system is mounted read-only: choose a place on another one",
    errno.ENOENT: _THERE,
    errno.ENOTDIR: "a part of the path is a file, not a directory: look at the path",
    errno.EISDIR: "it is a directory: give a file in it",
    errno.ELOOP: "it is a link, or links lead round in a circle: give the file itself",
    errno.ENAMETOOLONG: "the system takes no name as long as this: choose a shorter one",
    errno.EMFILE: _OPEN_FILES,
    errno.ENFILE: _OPEN_FILES,
    errno.ENOMEM: _MEMORY,
    errno.EIO: "the disk or the network behind it fails: see the system's log, use a copy elsewhere",
    errno.ESTALE: "the network file system has lost it: open it again",
}


class OutgrowError(Exception):
    """Any error that outgrow raises on purpose.

    `str(error)` says what happened, to which thing, expected and found. `error.hint` says what the reader can
    do; the command line shows it on a line of its own.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n  Hint: {self.hint}" if self.hint else message

    @property
    def message(self) -> str:
        """The sentence without its hint."""
        return super().__str__()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.hint, dict(self.__dict__))


def _rebuild(
    kind: type[OutgrowError], message: str, hint: str | None, state: dict[str, object]
) -> OutgrowError:
    """Rebuild an error in another process, whatever its own constructor takes."""
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.hint = hint
    error.__dict__.update(state)
    return error


class InputError(OutgrowError, ValueError):
    """What the caller gave cannot be used: a name, a number, an option, a path."""


class StoreError(OutgrowError):
    """Files that hold tensors are missing, damaged, locked or cannot be written."""


class DeviceError(OutgrowError):
    """A device, its memory or its driver cannot do what was asked."""


class RemoteError(OutgrowError):
    """Something failed in another process; the remote traceback is part of the message."""


def nearest_names(name: str, known: Iterable[str], *, count: int = 3) -> tuple[str, ...]:
    """The `count` known names most like `name`, best first; empty where none is alike."""
    return tuple(difflib.get_close_matches(name, list(known), n=count, cutoff=0.5))


def hint_for(err: OSError) -> str:
    """What helps against an error of the system, for a file, a directory or memory; by its `errno`."""
    unknown = "this is all that the system says: try it there with another program, such as `cp`"
    return _hints.get(err.errno or 0, unknown)


def no_temporary_directory(err: BaseException) -> StoreError | None:
    """What is the matter where Python found no directory for temporary files, in `err` or behind it; None for
    any other error.

    Python calls this a file that was not found, and whoever imports a library that asks for the directory
    takes it for a fault of its own.
    """
    behind: BaseException | None = err
    while behind is not None:
        if isinstance(behind, FileNotFoundError) and "No usable temporary directory" in str(behind):
            return StoreError(
                f"nowhere can a temporary file be written: {behind.strerror or behind}",
                hint="set TMPDIR to a directory that you may write to",
            )
        behind = behind.__cause__ or behind.__context__
    return None
