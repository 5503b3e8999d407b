"""What recovery wants done, in the order given."""

__all__ = [
    "Action",
    "Discard",
    "Forget",
    "GiveUp",
    "Kill",
    "Poison",
    "Restore",
    "Start",
    "Take",
    "Tell",
]

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """End every process of the gang, by SIGKILL, and wait for them."""

    gang: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start the ranks anew, as this gang."""

    gang: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """Let the ranks take up a checkpoint and everything in the order since."""

    gang: int
    checkpoint: int | None
    """None: there is none, they begin with nothing."""
    slot: int
    """Which of the two places holds it."""
    since: int
    """The first message to send; earlier ones are in the checkpoint, but for definitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """When this message comes again, let its step (None: all of it) fail on every rank."""

    seq: int
    step: int | None
    text: str
    """What the user is told: the JSON of the rank's failure where it reported one, else a sentence."""
    is_reported: bool
    """Whether `text` is a rank's failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Put an order to store a checkpoint into the order, now."""

    checkpoint: int
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """Messages before this one are needed no more, but for definitions."""

    before: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Let every client know."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """What the clients held cannot be brought back; every value made so far is lost."""

    before: int
    """Messages before this one are not run again."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The ranks cannot be kept running: tell every client and end."""

    text: str


Action = Kill | Start | Restore | Poison | Take | Discard | Tell | Forget | GiveUp
