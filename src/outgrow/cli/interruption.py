"""Ctrl-C and SIGTERM that arrive, also where a library swallows them, as some do while they load."""

__all__ = ["Interruption", "Terminated"]

import signal
import threading
import weakref
from types import FrameType, TracebackType
from typing import Any, Self

from outgrow.interrupts import are_interrupts_held

_SECONDS_BEFORE_AGAIN = 0.3
_SECONDS_WHILE_TORCH_LOADS = 0.02


class Terminated(BaseException):
    """Something sent SIGTERM: clean up and leave, as with Ctrl-C."""


class _Interrupted(KeyboardInterrupt):
    """A class of our own, because exceptions of Python itself cannot be watched by a weak reference."""


class Interruption:
    """As a context: SIGINT raises KeyboardInterrupt and SIGTERM `Terminated` inside, until one gets through.

    An exception that was raised and is gone, while the block still runs, was swallowed: then it is raised
    again. One that still exists is on its way or lets somebody clean up, and is left in peace. While torch
    loads nothing is raised: it calls Python where an exception ends the process (`terminate called`).
    """

    number: int | None = None
    """The last signal that came; None while there was none. The block's outcome means nothing after one."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._raised: weakref.ref[BaseException] | None = None

    def __enter__(self) -> Self:
        # Signals belong to the main thread. Who ignores SIGINT, as `nohup` and background jobs do, goes on
        # doing so.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._arrive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.number is not None and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _arrive(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        if hasattr(signal, "setitimer"):
            if signal.SIGALRM not in self._before:
                self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._look_again)
            if _is_torch_loading(frame):
                signal.setitimer(signal.ITIMER_REAL, *[_SECONDS_WHILE_TORCH_LOADS] * 2)
                return
        self._raise()

    def _look_again(self, _number: int, frame: FrameType | None) -> None:
        is_gone = self._raised is None or self._raised() is None
        if is_gone and not are_interrupts_held() and not _is_torch_loading(frame):
            self._raise()

    def _raise(self) -> None:
        error: BaseException = Terminated() if self.number == signal.SIGTERM else _Interrupted()
        self._raised = weakref.ref(error)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, *[_SECONDS_BEFORE_AGAIN] * 2)
        try:
            raise error
        finally:
            del error  # its traceback leads here: with the name it would hold itself, and never be gone


def _is_torch_loading(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") == "torch" and frame.f_code.co_name == "<module>":
            return True
        frame = frame.f_back
    return False
