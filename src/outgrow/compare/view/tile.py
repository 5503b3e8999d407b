"""A picture of a window: a number for each pixel."""

__all__ = ["MOST_PIXELS", "Tile", "draw_difference", "draw_tile"]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from outgrow.compare.view.extreme import Pixels, extremes, largest_of
from outgrow.compare.view.gap import gap, rough_gap
from outgrow.compare.view.piece import pieces
from outgrow.compare.view.plain import number_of
from outgrow.compare.view.side import Side
from outgrow.compare.view.spec import Spec
from outgrow.compare.view.window import Window
from outgrow.errors import InputError

MOST_PIXELS = 1 << 22
"""Of a tile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Each pixel is the number of largest magnitude among those it stands for: NaN before infinities before
    numbers. So a lone wrong number is seen from any distance."""

    pixels: Pixels
    """`[height, width]`, float32; NaN where a folded line has ended, too."""
    rows_per_pixel: int
    columns_per_pixel: int
    missing: int
    """Pixels at the end of the last row that stand for nothing."""
    minimum: float | None
    """Of the finite pixels; None where there are none."""
    maximum: float | None
    nan: int
    """Pixels that are NaN; those that stand for nothing do not count."""
    inf: int

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return int(self.pixels.shape[1])

    def as_bytes(self) -> bytes:
        """float32, little-endian, row by row."""
        return self.pixels.astype("<f4").tobytes()

    def as_json(self) -> dict[str, object]:
        """All but the pixels."""
        return {
            "height": self.height,
            "width": self.width,
            "rows_per_pixel": self.rows_per_pixel,
            "columns_per_pixel": self.columns_per_pixel,
            "missing": self.missing,
            "minimum": number_of(self.minimum),
            "maximum": number_of(self.maximum),
            "nan": self.nan,
            "inf": self.inf,
        }


def draw_tile(
    side: Side, spec: Spec, *, max_height: int, max_width: int, check: Callable[[], None] = lambda: None
) -> Tile:
    """A picture of one side. `check` is called now and then: what it raises ends the work.

    Raises:
        InputError: the Spec does not fit, or the picture has no size, or too large a one.
    """
    window = Window(side, spec)
    return _draw([window], max_height, max_width, check)


def draw_difference(
    expected: Side,
    expected_spec: Spec,
    actual: Side,
    actual_spec: Spec,
    *,
    max_height: int,
    max_width: int,
    check: Callable[[], None] = lambda: None,
) -> Tile:
    """A picture of `actual - expected`, number against number by their place in the windows; of as many rows
    and columns as both have.

    Raises:
        InputError: as `draw_tile`.
    """
    windows = [Window(actual, actual_spec), Window(expected, expected_spec)]
    return _draw(windows, max_height, max_width, check)


def _draw(windows: list[Window], max_height: int, max_width: int, check: Callable[[], None]) -> Tile:
    if min(max_height, max_width) < 1 or max_height * max_width > MOST_PIXELS:
        raise InputError(
            f"a picture of {max_height} x {max_width} pixels cannot be drawn",
            hint=f"give it a pixel at least, and {MOST_PIXELS} at most",
        )
    is_turned = windows[-1].is_turned and all(window.can_turn for window in windows)
    if is_turned:
        # Numbers that follow each other in memory are looked at one after the other.
        windows = [Window(window.side, window.spec.turned()) for window in windows]
        max_height, max_width = max_width, max_height
    height, width = min(w.height for w in windows), min(w.width for w in windows)
    down, across = max(1, -(-height // max_height)), max(1, -(-width // max_width))
    pixels = np.full((-(-height // down), -(-width // across)), np.nan, dtype=np.float32)
    seen = 0
    for piece in pieces(windows, down, across):
        check()
        found = _extremes([window.block(*piece) for window in windows], down, across)
        top, left = piece.row // down, piece.column // across
        place = pixels[top : top + found.shape[0], left : left + found.shape[1]]
        is_begun = piece.row % down or piece.column % across
        place[:] = largest_of(found, place) if is_begun else found
        last = (top + found.shape[0] - 1) * pixels.shape[1] + left + found.shape[1]
        seen = max(seen, last)
    return _tile(pixels, down, across, pixels.size - seen, is_turned=is_turned)


def _extremes(blocks: list[Tensor], down: int, across: int) -> Pixels:
    """Of one block, or of what lies between two."""
    if len(blocks) == 1:
        return extremes(blocks[0], down, across)
    found = extremes(rough_gap(*blocks), down, across)
    return extremes(gap(*blocks), down, across) if np.isnan(found).any() else found


def _tile(pixels: Pixels, down: int, across: int, missing: int, *, is_turned: bool) -> Tile:
    if is_turned:
        pixels, down, across = np.ascontiguousarray(pixels.T), across, down
    shown = pixels.reshape(-1)[: pixels.size - missing]
    finite = shown[np.isfinite(shown)]
    return Tile(
        pixels=pixels,
        rows_per_pixel=down,
        columns_per_pixel=across,
        missing=missing,
        minimum=float(finite.min()) if finite.size else None,
        maximum=float(finite.max()) if finite.size else None,
        nan=int(np.count_nonzero(np.isnan(shown))),
        inf=int(np.count_nonzero(np.isinf(shown))),
    )
