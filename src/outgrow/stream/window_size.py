"""How large the window should be, from what the passes so far have shown. Pure."""

__all__ = ["WindowTuner"]

from dataclasses import dataclass

WORTH_IT = 0.02
"""Stalls and an idle disk count from this share of a pass on; less is noise."""
STEP = 1.5
"""A window that is too small grows by this factor."""
PATIENCE = 3
"""Passes between two looks: one pass may just have had bad luck."""


@dataclass(slots=True, kw_only=True)
class WindowTuner:
    """Grows the window while that makes passes faster: hill climbing with one step back.

    A larger window helps only where modules wait although the disk had pauses: where the disk never pauses it
    is the limit, and a larger window only takes memory from the resident set.
    """

    window_bytes: int
    """The window now."""
    most_bytes: int
    """The window may not grow beyond it."""
    passes: int = 0
    best_seconds: float | None = None
    """Seconds of a pass, the best since the last change."""
    previous: tuple[int, float] | None = None
    """Window and seconds before the last growth."""
    is_settled: bool = False

    def observe(self, *, pass_seconds: float, stall_seconds: float, idle_seconds: float) -> int | None:
        """Take note of one pass; the window to change to, or None to leave it."""
        if self.is_settled:
            return None
        self.passes += 1
        self.best_seconds = min(pass_seconds, self.best_seconds or pass_seconds)
        if self.passes < PATIENCE:
            return None
        seconds, self.passes, self.best_seconds = self.best_seconds, 0, None
        if self.previous is not None and seconds > self.previous[1] * (1 - WORTH_IT):
            # Growing did not help: go back, and stay.
            window, self.previous, self.is_settled = self.previous[0], None, True
            self.window_bytes = window
            return window
        limit = min(stall_seconds, idle_seconds) / pass_seconds if pass_seconds else 0.0
        grown = min(int(self.window_bytes * STEP), self.most_bytes)
        if limit < WORTH_IT or grown <= self.window_bytes:
            # Nothing to gain, or nowhere to go: from now on only luck would tell passes apart.
            self.is_settled = True
            return None
        self.previous = (self.window_bytes, seconds)
        self.window_bytes = grown
        return grown
