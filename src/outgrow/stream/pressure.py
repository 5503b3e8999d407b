"""When memory runs short outside: what to give back, and when to take it again."""

__all__ = ["PressureValve", "Relief"]

import time
from dataclasses import dataclass
from typing import Protocol

from outgrow.stream.config import MemoryPressureMode

TIGHT_SHARE = 0.05
"""Pressure begins where less than this share of the memory limit is available."""
EASY_SHARE = 0.25
"""Pressure is over where more than this share is available; apart from `TIGHT_SHARE`, so that it does not
flutter."""
GIVE_SHARE = 0.75
"""Under pressure the budget shrinks to this part of itself, once a look."""
LOOK_SECONDS = 0.5
"""Least time between two looks."""


class Gauge(Protocol):
    """Whoever knows how much memory there is."""

    def read(self) -> "State":
        """Memory now."""
        ...


class State(Protocol):
    """Memory at one time."""

    @property
    def share_available(self) -> float:
        """Available memory as a part of the limit, in [0, 1]."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """What to change."""

    effective_bytes: int
    """The budget to keep from now on, with the window that suits it."""
    smallest_window: bool = False
    """Whether instead only the window shrinks."""


class PressureValve:
    """Looks at the memory of machine and container now and then, and says what to change."""

    def __init__(self, mode: MemoryPressureMode, gauge: Gauge) -> None:
        self._mode = mode
        self._gauge = gauge
        self._looked = float("-inf")
        self._is_tight = False

    @property
    def is_tight(self) -> bool:
        """Whether memory was short when it was last looked at."""
        return self._is_tight

    def judge(self, *, budget_bytes: int, effective_bytes: int, now: float | None = None) -> Relief | None:
        """What to change, or None. `now` in seconds, for tests."""
        now = time.monotonic() if now is None else now
        if self._mode is MemoryPressureMode.CONSERVATIVE or now - self._looked < LOOK_SECONDS:
            return None
        self._looked = now
        share = self._gauge.read().share_available
        if share < TIGHT_SHARE:
            was_tight, self._is_tight = self._is_tight, True
            if self._mode is MemoryPressureMode.AGGRESSIVE:
                return Relief(effective_bytes=int(effective_bytes * GIVE_SHARE))
            return None if was_tight else Relief(effective_bytes=effective_bytes, smallest_window=True)
        if share > EASY_SHARE:
            was_tight, self._is_tight = self._is_tight, False
            # Also where the budget was left alone and only the window made smaller: it may grow again.
            if was_tight or effective_bytes < budget_bytes:
                return Relief(effective_bytes=budget_bytes)
        return None
