"""What of a user's choices the stream itself needs."""

__all__ = ["StreamOptions"]

from collections.abc import Mapping
from dataclasses import dataclass

from outgrow.stream.config import MemoryPressureMode, PrefetchStrategy

_LOOKAHEAD: Mapping[PrefetchStrategy, int | None] = {
    PrefetchStrategy.NONE: 0,
    PrefetchStrategy.NEXT_LAYER: 1,
    PrefetchStrategy.ADAPTIVE: None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """What of a `Config` the stream itself needs."""

    io_threads: int
    """Threads that read."""
    strategy: PrefetchStrategy
    """How far ahead they read."""
    pressure_mode: MemoryPressureMode
    """What to give back when memory runs short."""
    keep_resident: frozenset[int]
    """Indices of weights that must stay in memory."""
    checks: bool
    """Whether to check invariants after every pass, and to log every plan."""

    @property
    def lookahead(self) -> int | None:
        """How many pieces to fetch ahead of their use; None for as many as fit."""
        return _LOOKAHEAD[self.strategy]
