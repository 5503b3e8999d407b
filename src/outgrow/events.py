"""What long work tells whoever watches: frozen records, and the protocol of a listener."""

__all__ = ["Listener", "Progress", "ignore"]

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a piece of work has come."""

    task: str
    """What is being done, as a reader would say it: `converting`, `verifying`, `generating`."""
    done: int
    """How much is done, in `unit`."""
    total: int | None
    """How much there is to do, in `unit`; None where nobody can know."""
    unit: str = "bytes"
    """`bytes`, `tokens`, `tensors`, ..."""
    item: str = ""
    """What is being worked on now: a weight's name, a file."""


class Listener(Protocol):
    """Anything that can be called with an event. It must return fast and must not raise."""

    def __call__(self, event: object, /) -> None:
        """Take note of one event."""


def ignore(event: object, /) -> None:
    """The listener that does nothing."""
