"""Figures of stored tensors, each by itself: what there is to say where nothing answers them."""

__all__ = ["side_figures", "statistics_of"]

from typing import Any

from outgrow.capture.recording import Record, Refusal
from outgrow.compare.comparison import Comparison
from outgrow.compare.finding import Finding
from outgrow.compare.measures import SideFigures, measure
from outgrow.compare.view.listing import Listing
from outgrow.compare.view.plain import number_of


def statistics_of(comparison: Comparison, row: int) -> dict[str, Any]:
    """For each side the figures of its tensors as they are stored, one for each rank; read when it is called.

    Raises:
        InputError: there is no such row, or its numbers cannot be counted.
        StoreError: the bytes cannot be read.
    """
    entry = Listing(comparison)[row]
    sides: dict[str, tuple[Record | Refusal | None, ...]]
    if isinstance(entry, Finding):
        sides = {"expected": (entry.pair.expected,), "actual": entry.pair.actual}
    else:
        sides = {"expected": (entry.expected,), "actual": (entry.actual,)}
    return {
        side: [_figures_of(record) for record in records if isinstance(record, Record)]
        for side, records in sides.items()
    }


def side_figures(figures: SideFigures) -> dict[str, Any]:
    """As plain values."""
    return {
        "mean": number_of(figures.mean),
        "std": number_of(figures.std),
        "minimum": number_of(figures.minimum),
        "maximum": number_of(figures.maximum),
        "nan": figures.nan,
        "inf": figures.inf,
        "first_nan": None if figures.first_nan is None else list(figures.first_nan),
    }


def _figures_of(record: Record) -> dict[str, Any]:
    tensor = record.read()
    return side_figures(measure(tensor, tensor).expected)
