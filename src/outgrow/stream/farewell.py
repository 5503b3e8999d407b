"""Something is done when a model dies, also where Ctrl-C comes in that very moment."""

__all__ = ["Farewell"]

import signal
import threading
import weakref
from collections.abc import Callable

from torch import nn

_UNTIL_OVER_SECONDS = 0.05
"""After which the callbacks have certainly returned: they have nothing left to do."""


class Farewell:
    """Calls `act`, which may be called twice and must not refer to `model`, when `model` dies.

    Python prints and forgets what a weak reference's callback raises, and a signal that arrives while a
    model's memory is freed is raised at the first instruction of the callback. So there are two: where the
    first did not come to its end, the second does its work and gives the Ctrl-C again.
    """

    def __init__(self, model: nn.Module, act: Callable[[], None]) -> None:
        self._model = weakref.ref(model)
        done = threading.Event()
        # Callbacks are called in the reverse order of their making.
        self._second = weakref.finalize(model, _act_again, act, done)
        self._first = weakref.finalize(model, _act, act, done)
        self._second.atexit = False

    @property
    def is_pending(self) -> bool:
        """Whether the model lives and `detach` was not called."""
        return self._first.alive and self._second.alive

    def detach(self) -> nn.Module | None:
        """Do not act any more; gives the model."""
        self._first.detach()
        self._second.detach()
        return self._model()


def _act(act: Callable[[], None], done: threading.Event) -> None:
    try:
        act()
    except Exception:
        # An error of its own, which a second attempt would meet again.
        done.set()
        raise
    done.set()


def _act_again(act: Callable[[], None], done: threading.Event) -> None:
    if done.is_set():
        return
    try:
        act()
    finally:
        again = threading.Timer(_UNTIL_OVER_SECONDS, _interrupt)
        again.daemon = True
        again.start()


def _interrupt() -> None:
    # To the main thread and no other, so that what it waits for ends.
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)
