"""Whether there is a screen: `outgrow web` opens a browser on one, and the doctor says whether it would."""

__all__ = ["has_display"]

import os
import sys


def has_display() -> bool:
    """Whether a browser would have a window of its own: one in the terminal would take it away."""
    return sys.platform == "darwin" or any(map(os.environ.get, ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")))
