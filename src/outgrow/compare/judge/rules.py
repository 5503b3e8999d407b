"""Tolerances that the user gives; with them the jump rule is off."""

__all__ = ["Rules"]

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase

from outgrow.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How far elements may be from those expected: `|actual - expected| <= atol + rtol * |expected|`."""

    rtol: float = 0.0
    """By which part of the expected number."""
    atol: float = 0.0
    """By how much, whatever the expected number is."""
    patterns: tuple[tuple[str, float, float], ...] = ()
    """Globs over names with their own rtol and atol; the first that fits decides."""

    def __post_init__(self) -> None:
        for pattern, rtol, atol in (("*", self.rtol, self.atol), *self.patterns):
            for what, value in (("rtol", rtol), ("atol", atol)):
                if not (math.isfinite(value) and value >= 0):
                    raise InputError(
                        f"{what} for {pattern!r} is {value}",
                        hint="a tolerance is a number that is 0 or more and not infinite.",
                    )

    def tolerance(self, name: str) -> tuple[float, float]:
        """rtol and atol for a tensor of this name."""
        for pattern, rtol, atol in self.patterns:
            if fnmatchcase(name, pattern):
                return rtol, atol
        return self.rtol, self.atol
