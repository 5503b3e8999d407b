"""What a loader has read, and how its time went."""

__all__ = ["DiskClock", "LoaderCounts"]

from dataclasses import dataclass, fields, replace


@dataclass(slots=True)
class LoaderCounts:
    """What a loader has done so far."""

    bytes_read: int = 0
    """Bytes that came from files."""
    stalls: int = 0
    """How often a module had to wait for a piece."""
    stall_seconds: float = 0.0
    """How long they waited."""
    busy_seconds: float = 0.0
    """How long at least one read was under way or queued."""
    idle_seconds: float = 0.0
    """How long the disk had nothing to do because the window was full."""
    fetches: int = 0
    """Pieces that were read."""

    def plus(self, other: "LoaderCounts") -> "LoaderCounts":
        """Both together."""
        return LoaderCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class DiskClock:
    """Adds up how long the disk was busy, and how long it waited for memory. Times come from the caller."""

    def __init__(self, counts: LoaderCounts) -> None:
        self._counts = counts
        self._busy_since: float | None = None
        self._idle_since: float | None = None

    def note(self, now: float, *, is_busy: bool, is_full: bool) -> None:
        """From `now` on reads are under way or not; if not, for want of memory (`is_full`) or of work."""
        if self._busy_since is not None:
            self._counts.busy_seconds += now - self._busy_since
        if self._idle_since is not None:
            self._counts.idle_seconds += now - self._idle_since
        # Once idle for want of memory it is so until there is work, whatever is freed meanwhile.
        is_idle = not is_busy and (is_full or self._idle_since is not None)
        self._busy_since = now if is_busy else None
        self._idle_since = now if is_idle else None

    def settled(self, now: float) -> LoaderCounts:
        """A copy of the counts, with the times up to `now`."""
        busy = now - self._busy_since if self._busy_since is not None else 0.0
        idle = now - self._idle_since if self._idle_since is not None else 0.0
        counts = self._counts
        return replace(
            counts, busy_seconds=counts.busy_seconds + busy, idle_seconds=counts.idle_seconds + idle
        )
