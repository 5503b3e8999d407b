"""Ctrl-C and SIGTERM held back for the length of what must not be left half done."""

__all__ = ["Uninterrupted", "are_interrupts_held", "let_interrupts_through"]

import inspect
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

_NUMBERS = (signal.SIGINT, signal.SIGTERM)
# Without the enums that Python puts around them: 0.1 us instead of 10, and every module of a streamed model
# pays for it.
_handler_of: Callable[[int], Any] = getattr(signal.getsignal, "__wrapped__", signal.getsignal)
_set_handler: Callable[[int, Any], Any] = getattr(signal.signal, "__wrapped__", signal.signal)


class Uninterrupted:
    """As a context: what signals raise, in the main thread, is raised at the end of the block, or within it
    where `let_interrupts_through` is called.

    An exception that came between a change and the note of it would leave neither the old state nor the new
    one, and one within a `finally` skips the rest of it: no order of statements helps. So blocks are short,
    or let signals through wherever they wait. One within another ends with the outer one. Other threads than
    the main one are never interrupted, and a signal that ends the process does so here, too.
    """

    def __init__(self) -> None:
        self._hold: _Hold | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread() and _present_hold() is None:
            self._hold = hold = _Hold()
            try:
                hold.begin()
            except BaseException:
                # The first signal is held already, and the other one came.
                hold.end()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._hold is not None:
            self._hold.end()


def let_interrupts_through() -> None:
    """Raise what signals that were held back until now raise; nothing where none came, or none is held."""
    if threading.current_thread() is threading.main_thread():
        hold = _present_hold()
        if hold is not None:
            hold.deliver()


def are_interrupts_held() -> bool:
    """Whether the main thread is within an `Uninterrupted` block: nothing else should interrupt it either."""
    return _present_hold() is not None


class _Hold:
    """Stands in for the handlers of signals."""

    def __init__(self) -> None:
        self.is_over = False
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._came: list[int] = []

    def begin(self) -> None:
        """Take the place of every handler that could raise something."""
        for number in _NUMBERS:
            handler = _handler_of(number)
            if callable(handler):
                self._handlers[number] = handler
                _set_handler(number, self.note)

    def note(self, number: int, frame: FrameType | None) -> None:
        """A signal came."""
        if self.is_over:
            self._handlers[number](number, frame)
        elif number not in self._came:
            self._came.append(number)

    def deliver(self) -> None:
        """Let the handlers know of what came."""
        if self._came:
            number = self._came.pop()
            try:
                self._handlers[number](number, inspect.currentframe())
            finally:
                self.deliver()

    def end(self) -> None:
        """Put the handlers back, and let them know of what came."""
        # From here on signals go straight to them: all that must not be interrupted is done.
        self.is_over = True
        try:
            for number, handler in self._handlers.items():
                # Not where somebody has taken our place meanwhile.
                if _handler_of(number) == self.note:
                    _set_handler(number, handler)
        finally:
            self.deliver()


def _present_hold() -> _Hold | None:
    for number in _NUMBERS:
        hold = getattr(_handler_of(number), "__self__", None)
        if isinstance(hold, _Hold) and not hold.is_over:
            return hold
    return None
