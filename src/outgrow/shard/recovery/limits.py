"""How patient recovery is and what it may cost."""

__all__ = ["RecoveryLimits"]

from dataclasses import dataclass

from outgrow.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryLimits:
    """Times in seconds, sizes in bytes."""

    silence_seconds: float = 1.2
    """A rank without a sign of life for so long is taken for dead. With a look every 0.1 s a stopped rank is
    found in less than 1.5 s, and a rank that computes gives a sign every 0.1 s."""
    start_seconds: float = 60.0
    """What a gang may take until all its ranks have met."""
    grace_seconds: float = 0.5
    """After a failure on one rank, how long the others may stand still without having failed there too."""
    tries: int = 3
    """So often may the same message bring a rank down; then it is poisoned instead of run. What somebody else
    does to a rank by a signal does not count."""
    barren: int = 20
    """So many faults in a row, with nothing done between, end it: no endless loop."""
    interval_seconds: float = 0.5
    """Least time between two checkpoints: about how much work is done again after a fault."""
    overhead: float = 0.02
    """Share of the time that checkpoints may take; where one takes long, they become rarer."""
    log_bytes: int = 512 << 20
    """What the messages since the last checkpoint may hold; at half of it a checkpoint is due."""
    log_messages: int = 100_000
    """As `log_bytes`, in messages: each costs the dispatcher some 300 bytes."""
    is_on: bool = True
    """Whether there are checkpoints and a log at all. Without them a lost rank loses what the clients had
    there."""

    def __post_init__(self) -> None:
        for name in ("silence_seconds", "start_seconds", "grace_seconds", "interval_seconds", "overhead"):
            if not getattr(self, name) > 0:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}, expected more than 0",
                    hint="leave it out for the default",
                )
        for name in ("tries", "barren", "log_bytes", "log_messages"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}, expected 1 or more",
                    hint="leave it out for the default",
                )
