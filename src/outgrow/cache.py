"""Where outgrow keeps what it made and can make again."""

__all__ = ["cache_directory"]

import os
import sys
from pathlib import Path

from outgrow.errors import InputError


def cache_directory() -> Path:
    """The user's cache directory for outgrow; it may not exist yet.

    `OUTGROW_CACHE` where set, else what the system uses: `$XDG_CACHE_HOME/outgrow` or `~/.cache/outgrow` on
    Linux, `~/Library/Caches/outgrow` on macOS, `%LOCALAPPDATA%\\outgrow\\Cache` on Windows.

    Raises:
        InputError: nothing tells where the user's home is, as in containers with an unknown user.
    """
    if own := os.environ.get("OUTGROW_CACHE"):
        return Path(own).expanduser()
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "outgrow"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else _home() / "AppData" / "Local") / "outgrow" / "Cache"
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else _home() / ".cache") / "outgrow"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as err:
        raise InputError(
            "this user has no home directory to keep a cache in", hint="set OUTGROW_CACHE to a directory"
        ) from err
