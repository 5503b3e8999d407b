"""Everything about one row but its numbers."""

__all__ = ["detail_of"]

from typing import Any

from outgrow.capture.recording import Record
from outgrow.compare.comparison import Comparison
from outgrow.compare.finding import Finding
from outgrow.compare.measures import Measures, SideFigures
from outgrow.compare.view.rows import number_of
from outgrow.errors import InputError


def detail_of(comparison: Comparison, row: int) -> dict[str, Any]:
    """`Detail` of the API.

    Raises:
        InputError: there is no such row.
    """
    pairing = comparison.pairing
    lone = (*pairing.unpaired_expected, *pairing.unpaired_actual)
    pairs = len(comparison.findings)
    if row < pairs:
        return {"row": row, **_pair(comparison.findings[row])}
    if row - pairs >= len(lone):
        raise InputError(f"there is no row {row}; there are {pairs + len(lone)}", hint="load the list again")
    record = lone[row - pairs]
    is_expected = row - pairs < len(pairing.unpaired_expected)
    return {
        "row": row,
        "expected": side_of(record) if is_expected else None,
        "actual": [] if is_expected else [side_of(record)],
        "status": "only expected" if is_expected else "only actual",
        "reason": "the other run has nothing that answers it",
        "stage": None, "layer": None, "matched_by": None, "note": None, "layout": None,
        "near": list(pairing.near.get(record.name, ())),
        "shape": list(record.shape),
        "measures": None,
    }  # fmt: skip


def _pair(finding: Finding) -> dict[str, Any]:
    pair, found, measures = finding.pair, finding.layout, finding.measures
    layout = None
    if found.layout is not None:
        layout = {
            "text": found.layout.describe(),
            "hint": pair.layout_hint,
            "reason": found.reason,
            "expected_text": None if found.expected_layout.is_identity else found.expected_layout.describe(),
            "steps": [],
            "is_identity": found.layout.is_identity and found.expected_layout.is_identity,
        }
    return {
        "expected": side_of(pair.expected),
        "actual": [side_of(record) for record in pair.actual],
        "status": finding.judged.status,
        "reason": finding.judged.reason,
        "stage": pair.stage,
        "layer": pair.layer,
        "matched_by": pair.how,
        "note": pair.note,
        "layout": layout,
        "near": [],
        "shape": list(measures.shape if measures else pair.expected.shape),
        "measures": None if measures is None else measures_of(measures),
    }


def side_of(record: Record) -> dict[str, Any]:
    """`Side` of the API."""
    return {
        "name": record.name,
        "dtype": str(record.dtype).removeprefix("torch."),
        "shape": list(record.shape),
        "rank": record.rank,
        "elements": record.elements,
        "bytes": record.nbytes,
        "kind": record.kind,
    }


def measures_of(measures: Measures) -> dict[str, Any]:
    """Figures of both sides and between them."""
    index = measures.max_abs_index
    return {
        "elements": measures.elements,
        "mismatched": measures.mismatched,
        "outside": measures.outside,
        "max_abs": number_of(measures.max_abs),
        "max_abs_index": None if index is None else list(index),
        "relative_error": number_of(measures.relative_error),
        "mse": number_of(measures.mse),
        "max_ulp": measures.max_ulp,
        "cosine": number_of(measures.cosine),
        "scale": number_of(measures.scale),
        "expected": _figures(measures.expected),
        "actual": _figures(measures.actual),
    }


def _figures(figures: SideFigures) -> dict[str, Any]:
    first = figures.first_nan
    return {
        "mean": number_of(figures.mean),
        "std": number_of(figures.std),
        "minimum": number_of(figures.minimum),
        "maximum": number_of(figures.maximum),
        "nan": figures.nan,
        "inf": figures.inf,
        "first_nan": None if first is None else list(first),
    }
