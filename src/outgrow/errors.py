"""The families of errors that every room raises, each with a hint on what the reader can do."""

__all__ = ["DeviceError", "InputError", "OutgrowError", "RemoteError", "StoreError", "nearest_names"]

import difflib
from collections.abc import Iterable


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
