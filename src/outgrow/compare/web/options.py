"""What the server is started with."""

__all__ = ["Options"]

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of one server; the command line's options have the same names."""

    expected: Path | None = None
    """The run that every tab begins with; None for two empty drop zones."""
    actual: tuple[Path, ...] = ()
    """One path for each rank."""
    name_map: Path | None = None
    """A file that says which names answer which."""
    port: int = 5000
    """0 for any that is free."""
    roots: tuple[Path, ...] = ()
    """Folders below which the page may open paths; none by default."""
    static: Path | None = None
    """Built page to be served instead of the one in the package, for those who work on it."""
    max_upload_bytes: int = 64 * 2**30
    """Bytes of one upload."""
    max_session_bytes: int = 256 * 2**30
    """Bytes of all uploads of a tab together."""
    max_sessions: int = 32
    """Tabs that are remembered at a time."""
    idle_seconds: float = 2 * 3600.0
    """After so long without a call a tab is forgotten, with what it uploaded."""
