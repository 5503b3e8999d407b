"""What recovery is told. Events about ranks name their gang: those of an older one come late and mean
nothing."""

__all__ = [
    "Broken",
    "Event",
    "Failed",
    "Gone",
    "NotRestored",
    "NotStored",
    "Ready",
    "Resent",
    "Sent",
    "Sign",
    "Stored",
    "Tick",
]

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A rank has met the others and waits for messages."""

    gang: int
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A rank lives, and so far it has come."""

    gang: int
    rank: int
    started: int
    """The last message that it took up."""
    finished: int
    """The last message that it was done with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A rank's process has ended or is stopped."""

    gang: int
    rank: int
    how: str
    """In words that finish `rank 1 ...`: `was killed by SIGKILL`."""
    is_own_doing: bool = True
    """Whether what it ran may have ended it; not where somebody else sent a signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A rank's exchange with the others failed: one of them is gone, or does something else."""

    gang: int
    rank: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """An op failed on a rank, which now waits until all have failed there."""

    gang: int
    rank: int
    count: int
    """Which failure of this gang it is, from 1: all ranks fail in the same order, or they disagree."""
    seq: int
    """The message."""
    step: int | None
    """Where in it; None where it was no step of a segment."""
    text: str
    """The failure as JSON, for whoever is to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A rank has stored its part of a checkpoint."""

    gang: int
    rank: int
    checkpoint: int
    seconds: float
    """What it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStored:
    """A rank could not store its part: no room."""

    gang: int
    rank: int
    checkpoint: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRestored:
    """A rank could not take up its part of a checkpoint: it is damaged."""

    gang: int
    rank: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resent:
    """A new gang was sent what it has to run again."""

    gang: int
    until: int
    """The last message of it; answered questions are left out. -1 where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A message was given its place in the order; they come without gaps."""

    seq: int
    nbytes: int
    ends_step: bool = False
    """Whether an optimizer has just stepped: then the ranks hold least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Nothing but time has passed."""


Event = Ready | Sign | Gone | Broken | Failed | Stored | NotStored | NotRestored | Resent | Sent | Tick
