"""Bytes, counts, seconds and rates: from text to numbers and back."""

__all__ = ["format_bytes", "format_count", "format_factor", "format_rate", "format_seconds", "parse_bytes"]

import math
import re
from decimal import Decimal

from outgrow.errors import InputError

_UNITS = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50,
    "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
}  # fmt: skip
_NUMBER = re.compile(
    r"\s*((?:[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*",
    re.IGNORECASE | re.ASCII,
)
_TOO_LARGE = 2**63
_HINT = "write a size such as 27MB (10^6 bytes), 4GiB (2^30 bytes) or a whole number of bytes"


def parse_bytes(size: int | str) -> int:
    """The number of bytes that `size` means: an int, or text such as `27MB` (10^6) or `4GiB` (2^30).

    Raises:
        InputError: the text is not a size, or the number is below zero or not below 2^63.
    """
    if isinstance(size, bool) or not isinstance(size, int | str):
        raise InputError(f"a size must be an int (bytes) or text, not {type(size).__name__}", hint=_HINT)
    if isinstance(size, int):
        if size < 0:
            raise InputError(f"a size cannot be negative: {size}", hint=_HINT)
        if size >= _TOO_LARGE:
            power = size.bit_length() - 1
            raise InputError(f"a size of 2^{power} bytes is larger than any memory (2^63 bytes)", hint=_HINT)
        return size
    if size.strip().startswith("-"):
        raise InputError(f"a size cannot be negative: {size!r}", hint=_HINT)
    found = _NUMBER.fullmatch(size)
    if found is None or found[2].lower() not in _UNITS:
        raise InputError(f"not a size: {size!r}", hint=_HINT)
    unit = _UNITS[found[2].lower()]
    # A float tells absurd exponents from usable ones; Decimal counts, because a float is whole only up to
    # 2^53.
    rough = float(found[1]) * unit
    count = round(Decimal(found[1]) * unit) if 0 < rough < 2 * _TOO_LARGE else int(min(rough, _TOO_LARGE))
    if count >= _TOO_LARGE:
        raise InputError(f"a size of {size!r} is larger than any memory (2^63 bytes)", hint=_HINT)
    return count


def format_bytes(count: float) -> str:
    """`count` bytes in decimal units with three figures, as disks and budgets are sold: `27.0 MB`."""
    return _scaled(count, ("B", "kB", "MB", "GB", "TB", "PB"), 1000.0)


def format_count(count: int, noun: str) -> str:
    """So many of a thing: `1 pair`, `1,024 pairs`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def format_factor(factor: float) -> str:
    """A factor with so many digits that one next to 1 does not read as 1: `0.5`, `1.000001`."""
    apart = abs(factor - 1)
    digits = 4 if not 0 < apart < 1e-3 else min(17, 2 - math.floor(math.log10(apart)))
    return f"{factor:.{digits}g}"


def format_rate(bytes_per_second: float) -> str:
    """A bandwidth in decimal units: `2.31 GB/s`."""
    return f"{format_bytes(bytes_per_second)}/s"


def format_seconds(seconds: float) -> str:
    """A duration in the unit a reader would choose: `85 ms`, `2.31 s`, `4 min 10 s`, `3 h 05 min`."""
    if seconds < 0:
        return f"-{format_seconds(-seconds)}"
    if not math.isfinite(seconds):
        return f"{seconds} s"
    # The borders lie where rounding to the text's figures would reach the next unit.
    if 0 < seconds < 0.9995e-3:
        return f"{seconds * 1e6:.0f} µs"
    if 0 < seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _scaled(number: float, units: tuple[str, ...], base: float) -> str:
    size = abs(number)
    for unit in units:
        if size < base * 0.9995 or unit == units[-1]:
            break
        size /= base
    sign = "-" if number < 0 else ""
    if unit == units[0]:
        return f"{sign}{size:.0f} {unit}"
    return f"{sign}{size:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f} {unit}"
