"""Where outgrow keeps what it made and can make again."""

__all__ = ["cache_directory"]

import os
import sys
from pathlib import Path


def cache_directory() -> Path:
    """The user's cache directory for outgrow; it may not exist yet.

    `OUTGROW_CACHE` where set, else what the system uses: `$XDG_CACHE_HOME/outgrow` or `~/.cache/outgrow` on
    Linux, `~/Library/Caches/outgrow` on macOS, `%LOCALAPPDATA%\\outgrow\\Cache` on Windows.
    """
    if own := os.environ.get("OUTGROW_CACHE"):
        return Path(own).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "outgrow"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "outgrow" / "Cache"
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "outgrow"
