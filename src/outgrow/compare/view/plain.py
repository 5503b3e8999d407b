"""Values as JSON can say them and a browser can read them."""

__all__ = ["number_of", "shown", "whole_number_of"]

import math

from outgrow.names import printable

# Beyond this a browser's numbers leave out some of the whole ones.
_MAX_WHOLE = 2**53


def number_of(value: float | None) -> float | str | None:
    """JSON has no numbers that are not finite: those are texts."""
    if value is None or math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def whole_number_of(value: int) -> int | str:
    """A text where a browser would round it."""
    return value if abs(value) <= _MAX_WHOLE else str(value)


def shown(text: str) -> str:
    """What came out of a file, with all that cannot be printed written out."""
    return text if text.isprintable() else printable(text)
