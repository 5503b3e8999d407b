"""Everything about one row but its numbers."""

__all__ = ["detail_of", "known_maximum"]

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from outgrow.capture.recording import Record, Refusal
from outgrow.compare.comparison import Comparison
from outgrow.compare.finding import Finding
from outgrow.compare.layout import Layout
from outgrow.compare.layout.chain import located
from outgrow.compare.measures import Measures, SideFigures
from outgrow.compare.pair import Lone, Pair
from outgrow.compare.view.listing import Listing
from outgrow.compare.view.mapping import layout_of
from outgrow.compare.view.plain import number_of, shown, whole_number_of
from outgrow.compare.view.statistics import side_figures
from outgrow.difference.numbers import E2M1_PAIR
from outgrow.errors import InputError


def detail_of(comparison: Comparison, row: int) -> dict[str, Any]:
    """`Detail` of the API.

    Raises:
        InputError: there is no such row.
    """
    entry = Listing(comparison)[row]
    if isinstance(entry, Finding):
        return {"row": row, **_pair(comparison, entry)}
    return {"row": row, **_lone(comparison, entry)}


def _lone(comparison: Comparison, lone: Lone) -> dict[str, Any]:
    only = "only actual" if lone.expected is None else "only expected"
    detail: dict[str, Any] = {
        "expected": side_of(lone.expected) if isinstance(lone.expected, Record) else None,
        "actual": [side_of(lone.actual)] if isinstance(lone.actual, Record) else [],
        "status": only,
        "reason": "the other run has nothing that answers it",
        "stage": shown(lone.stage), "layer": lone.layer, "evidence": None, "allowed": None, "tolerance": None,
        "matched_by": None, "note": None, "fused": None, "layout": None, "near": [], "shape": [],
        "measures": None, "diagnoses": [],
    }  # fmt: skip
    entry = lone.expected or lone.actual
    if isinstance(entry, Refusal):
        return detail | {"status": "refused", "reason": shown(entry.reason), "entry": shown(entry.entry)}
    assert entry is not None
    near = comparison.pairing.near.get(entry.name, ())
    return detail | {"shape": list(entry.shape), "near": [shown(name) for name in near]}


def _pair(comparison: Comparison, finding: Finding) -> dict[str, Any]:
    pair, found, measures, judged = finding.pair, finding.layout, finding.measures, finding.judged
    layout: dict[str, Any] | None = None
    if found.layout is not None:
        layout = {
            "text": shown(found.layout.describe()),
            "reason": None if found.reason is None else shown(found.reason),
            "expected_text": None
            if found.expected_layout.is_identity
            else shown(found.expected_layout.describe()),
            "is_identity": found.layout.is_identity and found.expected_layout.is_identity,
            **layout_of(finding),
        }
    return {
        "expected": side_of(pair.expected, name=pair.expected_name),
        "actual": _actual(pair),
        "status": judged.status,
        "reason": shown(judged.reason),
        "evidence": judged.evidence,
        "allowed": number_of(judged.allowed),
        "tolerance": _tolerance(comparison, pair.expected_name),
        "stage": shown(pair.stage),
        "layer": pair.layer,
        "matched_by": pair.how,
        "note": None if pair.note is None else shown(pair.note),
        "fused": None if pair.fused is None else {
            "side": pair.fused.side, "parts": list(pair.fused.parts), "index": pair.fused.index,
            "group": shown(pair.fused.group),
        },
        "layout": layout,
        "near": [],
        "shape": list(measures.shape if measures else pair.expected.shape),
        "measures": None if measures is None else _measures(measures, finding),
        "diagnoses": [
            {"kind": found.kind, "detail": shown(found.detail)}
            for found in comparison.diagnoses
            if found.at == pair.expected_name
        ],
    }  # fmt: skip


def _actual(pair: Pair) -> list[dict[str, Any]]:
    """Of several ranks each with its place in their order, whatever it called itself."""
    if len(pair.actual) == 1:
        return [side_of(pair.actual[0], name=pair.actual_name)]
    return [side_of(record, rank=rank) for rank, record in enumerate(pair.actual)]


def side_of(record: Record, *, name: str | None = None, rank: int | None = None) -> dict[str, Any]:
    """`Side` of the API."""
    return {
        "name": shown(record.name if name is None else name),
        "dtype": str(record.dtype).removeprefix("torch."),
        "shape": list(record.shape),
        "rank": record.rank if rank is None else rank,
        "elements": record.elements,
        "bytes": record.nbytes,
        "kind": record.kind,
    }


def _tolerance(comparison: Comparison, name: str) -> dict[str, Any] | None:
    if comparison.is_exact:
        return {"rtol": 0.0, "atol": 0.0}
    if comparison.rules is None:
        return None
    rtol, atol = comparison.rules.tolerance(name)
    return {"rtol": number_of(rtol), "atol": number_of(atol)}


def _measures(measures: Measures, finding: Finding) -> dict[str, Any]:
    """Figures of both sides and between them. Indices count in the shape that is compared; `located` says
    where that is in the stored tensors."""
    index = measures.max_abs_index
    return {
        "elements": measures.elements,
        "mismatched": measures.mismatched,
        "outside": measures.outside,
        "max_abs": number_of(measures.max_abs),
        "max_abs_index": None if index is None else list(index),
        "located": None if index is None else _located(index, measures.shape, finding),
        "relative_error": number_of(measures.relative_error),
        "finite_relative_error": number_of(measures.finite_relative_error),
        "mse": number_of(measures.mse),
        "max_ulp": whole_number_of(measures.max_ulp),
        "cosine": number_of(measures.cosine),
        "scale": number_of(measures.scale),
        "exponents": [[exponent, count] for exponent, count in measures.distance_exponents.items()],
        "expected": _figures(measures.expected, measures.shape, finding),
        "actual": _figures(measures.actual, measures.shape, finding),
    }


def _figures(figures: SideFigures, shape: tuple[int, ...], finding: Finding) -> dict[str, Any]:
    first = figures.first_nan
    located_nan = None if first is None else _located(first, shape, finding)
    return {**side_figures(figures), "first_nan_located": located_nan}


def _located(index: tuple[int, ...], shape: tuple[int, ...], finding: Finding) -> dict[str, Any]:
    """Of both sides the rank, and the index in its stored tensor."""
    assert finding.layout.layout is not None
    sides = {
        "expected": (finding.layout.expected_layout, (finding.pair.expected,)),
        "actual": (finding.layout.layout, finding.pair.actual),
    }
    place = 0
    for at, size in zip(index, shape, strict=True):
        place = place * size + at
    return {side: _own_place(layout, records, place) for side, (layout, records) in sides.items()}


def known_maximum(comparison: Comparison, row: int) -> dict[str, Any] | None:
    """Where a pair's largest difference is, as `Found` says it, from when it was measured: large tensors need
    not be searched again. None of a row that was not measured.

    Raises:
        InputError: there is no such row.
    """
    entry = Listing(comparison)[row]
    if not isinstance(entry, Finding) or entry.measures is None:
        return None
    index = entry.measures.max_abs_index
    found = None if index is None else _located(index, entry.measures.shape, entry)
    expected, actual = (None, None) if found is None else (found["expected"], found["actual"])
    return {
        "index": None if index is None else list(index),
        "expected_index": None if expected is None else expected["index"],
        "actual_index": None if actual is None else actual["index"],
        "actual_rank": None if actual is None else actual["rank"],
        "wrapped": False,
        "count": None,
        "is_allowed": False,
    }


def _own_place(layout: Layout, records: Sequence[Record], place: int) -> dict[str, Any] | None:
    """None where the layout cannot say, or the numbers lie packed in each other."""
    if any(record.dtype == E2M1_PAIR for record in records):
        return None
    try:
        ranks, places = located(layout, np.array([place], dtype=np.int64))[0]
    except InputError:
        return None
    rank, own = int(ranks[0]), int(places[0])
    shape = records[rank].shape
    if not 0 <= own < math.prod(shape):
        return None
    return {"rank": rank, "index": [int(at) for at in np.unravel_index(own, shape)] if shape else []}
