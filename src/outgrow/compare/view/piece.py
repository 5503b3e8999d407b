"""Pieces of a window, each small enough to stay in the cache of a core."""

__all__ = ["Piece", "pieces", "sampled_pieces"]

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from outgrow.compare.view.window import Window

_ELEMENTS = 1 << 18
_RUN = 1 << 12
_GOLDEN = (5**0.5 - 1) / 2
"""Places at multiples of it are spread evenly and fall into step with no dim."""


class Piece(NamedTuple):
    """Where it lies in the window."""

    row: int
    rows: int
    column: int
    columns: int


def pieces(windows: Sequence[Window], down: int = 1, across: int = 1) -> Iterator[Piece]:
    """All cells that every one of these windows has. No piece begins within `down` rows or `across` columns
    that belong together and goes on in the next."""
    height, width, full, rest = _common(windows)
    widest = max(1, min(width, _ELEMENTS))
    tallest = max(1, _ELEMENTS // widest)
    for row, rows in _cut(full, down, tallest):
        for column, columns in _cut(width, across, widest):
            yield Piece(row, rows, column, columns)
    if full < height:
        for column, columns in _cut(rest, across, widest):
            yield Piece(full, 1, column, columns)


def sampled_pieces(windows: Sequence[Window], elements: int) -> Iterator[Piece]:
    """Small pieces, spread evenly, with about so many cells in all; none in a row where a folded line
    ends, unless there is no other."""
    _, width, rows, rest = _common(windows)
    if not rows:
        rows, width = 1, rest
    across = min(width, _RUN)
    down = min(rows, _RUN // across)
    lines, runs = -(-rows // down), -(-width // across)
    wanted = max(1, elements // (down * across))
    places = np.unique((np.arange(wanted) * _GOLDEN % 1.0 * (lines * runs)).astype(np.int64))
    for line, run in zip(*(digits.tolist() for digits in np.divmod(places, runs)), strict=True):
        row, column = line * down, run * across
        yield Piece(row, min(down, rows - row), column, min(across, width - column))


def _common(windows: Sequence[Window]) -> tuple[int, int, int, int]:
    """Rows and columns that all windows have; how many rows are full; the cells of the last row."""
    height, width = min(w.height for w in windows), min(w.width for w in windows)
    rest = min([width, *(window.rest for window in windows if window.height == height)])
    return height, width, height if rest == width else height - 1, rest


def _cut(length: int, unit: int, most: int) -> Iterator[tuple[int, int]]:
    """Beginnings and lengths."""
    size = most // unit * unit if most >= unit else most
    step = max(unit, size)
    for start in range(0, length, step):
        stop = min(start + step, length)
        for place in range(start, stop, size):
            yield place, min(size, stop - place)
