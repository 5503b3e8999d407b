"""What is compared: shapes that stay, and shapes that grow."""

__all__ = ["FIXED", "SWEEP", "TUNE_BUDGET", "name_of"]

from collections.abc import Sequence

Widths = tuple[int, int, int]


def name_of(widths: Sequence[int]) -> str:
    """`8.16.32` for (8, 16, 32)."""
    return ".".join(str(width) for width in widths)


SWEEP: dict[str, Widths] = {
    f"fixed {name_of((w, 2 * w, 4 * w))}": (w, 2 * w, 4 * w) for w in (4, 8, 16, 32, 64)
}
"""The sweep of widths: what somebody trains who does not know the best width."""

FIXED: dict[str, Widths] = {**SWEEP, "fixed 8.16.64": (8, 16, 64), "fixed 8.32.64": (8, 32, 64)}
"""All shapes that stay: the sweep and two that are not uniform."""

TUNE_BUDGET = {"fixed 4.8.16": 0.25}
"""Where the learning rate is chosen, if not at 1x: the smallest net burns twice the seconds of the next."""
