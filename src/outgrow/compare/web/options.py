"""What the server is started with."""

__all__ = ["Options"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # which load torch
    from outgrow.compare.names import NameMap
    from outgrow.compare.readers.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of one server; the command line's options have the same names."""

    expected: Path | None = None
    """The run that every tab begins with; None for two empty drop zones."""
    actual: tuple[Path, ...] = ()
    """One path for each rank."""
    name_map: "NameMap | None" = None
    """Which names answer which, and how they lie."""
    limits: "Limits | None" = None
    """On what is read from files; None for the usual ones."""
    port: int = 5000
    """0 for any that is free."""
    roots: tuple[Path, ...] = ()
    """Folders below which the page may open paths; none by default."""
    static: Path | None = None
    """Built page to be served instead of the one in the package, for those who work on it."""
    max_upload_bytes: int = 64 * 2**30
    """Bytes of one upload."""
    max_session_bytes: int = 256 * 2**30
    """Bytes of all uploads of a tab together, those that a comparison still holds included."""
    max_files: int = 4096
    """Files of a tab, both sides together; each needs a descriptor."""
    max_running_uploads: int = 16
    """Uploads of a tab at a time; browsers begin six."""
    max_comparisons: int = 4
    """Comparisons that are made at a time: each has threads and memory of its own."""
    max_sessions: int = 64
    """Tabs that are remembered at a time."""
    idle_seconds: float = 12 * 3600.0
    """After so long without a call a tab is forgotten, with what it uploaded: a night, not a weekend."""
