"""How often which numbers occur in a window of each side, and between them."""

__all__ = ["Histogram", "draw_histogram"]

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from outgrow.compare.view.gap import gap, moduli
from outgrow.compare.view.piece import Piece, pieces, sampled_pieces
from outgrow.compare.view.plain import number_of
from outgrow.compare.view.window import Window
from outgrow.errors import InputError

MOST_BINS = 4096
"""Of a histogram."""
_MOST_ELEMENTS = 1 << 22
"""Windows with more are sampled: a tenth of a second."""

Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """How many finite numbers lie from each edge to the next; those on the last edge belong to the last."""

    counts: list[int]
    nan: int
    inf: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Of complex numbers the moduli are counted."""

    edges: list[float]
    """Of both sides, one more than there are bars; empty where no number is finite."""
    expected: Bars | None
    """None where that side is not there."""
    actual: Bars | None
    difference_edges: list[float]
    difference: Bars | None
    """Of `actual - expected`; None where a side is not there, or the windows are not of one size."""
    elements: int
    """How many numbers of each side were looked at."""
    of: int
    """How many there are in the larger window."""

    @property
    def is_sampled(self) -> bool:
        """Whether not all were looked at."""
        return self.elements < self.of

    def as_json(self) -> dict[str, object]:
        """What a page is given."""
        return {
            "edges": [number_of(edge) for edge in self.edges],
            "expected": None if self.expected is None else self.expected.counts,
            "actual": None if self.actual is None else self.actual.counts,
            "difference_edges": [number_of(edge) for edge in self.difference_edges],
            "difference": None if self.difference is None else self.difference.counts,
            "nan": [None if bars is None else bars.nan for bars in self._all],
            "inf": [None if bars is None else bars.inf for bars in self._all],
            "elements": self.elements,
            "of": self.of,
            "is_sampled": self.is_sampled,
        }

    @property
    def _all(self) -> tuple[Bars | None, Bars | None, Bars | None]:
        return self.expected, self.actual, self.difference


def draw_histogram(
    expected: Window | None,
    actual: Window | None,
    *,
    bins: int,
    check: Callable[[], None] = lambda: None,
) -> Histogram:
    """Count the numbers of one or two windows; of large ones a sample, in the same places on both sides where
    they are of one size. `check` is called now and then: what it raises ends the work.

    Raises:
        InputError: there is no window, or no such number of bins.
    """
    windows = [window for window in (expected, actual) if window is not None]
    if not windows or not 1 <= bins <= MOST_BINS:
        raise InputError(
            f"a histogram of {len(windows)} windows with {bins} bars cannot be drawn",
            hint=f"give it a side, and 1 to {MOST_BINS} bars",
        )
    apart = None
    if expected is not None and actual is not None and _size(expected) == _size(actual):
        where = _pieces(windows)
        counts = [_Count([window], where, check) for window in windows]
        apart = _Count([actual, expected], where, check)
    else:
        counts = [_Count([window], _pieces([window]), check) for window in windows]
    edges = _edges(counts, bins)
    bars = iter([count.bars(edges) for count in counts])
    difference_edges = [] if apart is None else _edges([apart], bins)
    return Histogram(
        edges=edges,
        expected=None if expected is None else next(bars),
        actual=None if actual is None else next(bars),
        difference_edges=difference_edges,
        difference=None if apart is None else apart.bars(difference_edges),
        elements=max(count.elements for count in counts),
        of=max(_cells(window) for window in windows),
    )


class _Count:
    """The numbers of a window, or what lies between two: looked through once for the ends, once for the
    bars, so that they are never in memory all at a time."""

    def __init__(self, windows: Sequence[Window], where: Sequence[Piece], check: Callable[[], None]) -> None:
        self._windows, self._where, self._check = windows, where, check
        self.nan = self.inf = self.elements = 0
        self.least, self.most = math.inf, -math.inf
        self.is_finite = True
        for numbers in self._chunks():
            self.elements += numbers.size
            least, most = float(numbers.min()), float(numbers.max())
            if not (math.isfinite(least) and math.isfinite(most)):
                self.is_finite = False
                finite = numbers[np.isfinite(numbers)]
                nan = int(np.count_nonzero(np.isnan(numbers)))
                self.nan += nan
                self.inf += numbers.size - finite.size - nan
                if not finite.size:
                    continue
                least, most = float(finite.min()), float(finite.max())
            self.least, self.most = min(self.least, least), max(self.most, most)

    def bars(self, edges: Sequence[float]) -> Bars:
        """How many numbers stand between the edges."""
        bins = len(edges) - 1
        counts = np.zeros(max(0, bins), dtype=np.int64)
        if bins > 0:
            # The distance of the ends can leave float64; that of their halves cannot.
            half = 1.0 if math.isfinite(edges[-1] - edges[0]) else 0.5
            first, width = edges[0] * half, edges[-1] * half - edges[0] * half
            for numbers in self._chunks():
                places = (numbers if self.is_finite else numbers[np.isfinite(numbers)]) * half
                places -= first
                places /= width
                places *= bins
                places = places.astype(np.int32)
                counts += np.bincount(np.clip(places, 0, bins - 1, out=places), minlength=bins)
        return Bars(counts=counts.tolist(), nan=self.nan, inf=self.inf)

    def _chunks(self) -> Iterator[Numbers]:
        for piece in self._where:
            self._check()
            blocks = [window.block(*piece) for window in self._windows]
            numbers = gap(*blocks) if len(blocks) == 2 else _real(blocks[0])
            found: Numbers = numbers.double().numpy().reshape(-1)
            yield found


def _real(block: Tensor) -> Tensor:
    return moduli(block) if block.is_complex() else block


def _pieces(windows: Sequence[Window]) -> list[Piece]:
    cells = max(_cells(window) for window in windows)
    if not cells:
        return []
    return list(pieces(windows) if cells <= _MOST_ELEMENTS else sampled_pieces(windows, _MOST_ELEMENTS))


def _size(window: Window) -> tuple[int, int, int]:
    return window.height, window.width, window.rest


def _cells(window: Window) -> int:
    return max(0, window.height * window.width - (window.width - window.rest))


def _edges(counts: Sequence[_Count], bins: int) -> list[float]:
    least, most = min(count.least for count in counts), max(count.most for count in counts)
    if least > most:
        return []
    if least == most:
        # As numpy does it: a bar's width around the one number, wide enough to be told from it.
        half = max(0.5, abs(least) * 2.0**-20)
        least, most = max(least - half, -_MOST), min(most + half, _MOST)
    steps = np.linspace(0.0, 1.0, bins + 1)
    found: list[float] = (least * (1 - steps) + most * steps).tolist()
    return [least, *found[1:-1], most]


_MOST = float(np.finfo(np.float64).max)
