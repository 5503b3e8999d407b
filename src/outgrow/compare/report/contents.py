"""A comparison as plain values, which is also its JSON. Keys keep their meaning within a version."""

__all__ = ["VERSION", "as_dict", "as_json"]

import json
import math
from typing import Any

from outgrow.compare.comparison import Comparison
from outgrow.compare.finding import Finding
from outgrow.compare.report.words import sentence

VERSION = 1
"""Goes up when a key changes its meaning or goes away."""


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """Everything that the command line prints. Numbers that are not finite are None, beside their counts."""
    first, healed = comparison.first_divergence, comparison.healed_at
    pairing = comparison.pairing
    return {
        "version": VERSION,
        "verdict": comparison.verdict,
        "sentence": sentence(comparison),
        "expected": comparison.expected.label,
        "actual": [recording.label for recording in comparison.actual],
        "first_divergence": None if first is None else {
            "expected": first.pair.expected_name,
            "actual": first.pair.actual_name,
            "relative_error": None if first.measures is None else _finite(first.measures.relative_error),
        },
        "healed_at": None if healed is None else healed.pair.expected_name,
        "pairs": len(comparison.findings),
        "unpaired_expected": [record.name for record in pairing.unpaired_expected],
        "unpaired_actual": [record.name for record in pairing.unpaired_actual],
        "near": {name: list(names) for name, names in pairing.near.items()},
        "notes": list(comparison.notes),
        "findings": [_row(finding) for finding in comparison.findings],
        "diagnoses": [
            {"at": found.at, "kind": found.kind, "detail": found.detail} for found in comparison.diagnoses
        ],
        "refused": [{"entry": refusal.entry, "reason": refusal.reason} for refusal in comparison.refused],
    }  # fmt: skip


def as_json(comparison: Comparison) -> str:
    """`as_dict` as JSON."""
    return json.dumps(as_dict(comparison), indent=2, allow_nan=False) + "\n"


def _row(finding: Finding) -> dict[str, Any]:
    pair, measures = finding.pair, finding.measures
    row: dict[str, Any] = {
        "expected": pair.expected_name,
        "actual": pair.actual_name,
        "stage": pair.stage,
        "layer": pair.layer,
        "matched_by": pair.how,
        "note": pair.note,
        "layout": finding.layout.describe(),
        "layout_reason": finding.layout.reason,
        "shape": list(pair.expected.shape),
        "max_abs": None,
        "max_abs_index": None,
        "relative_error": None,
        "max_ulp": None,
        "cosine": None,
        "mse": None,
        "mismatched": None,
        "nan_expected": pair.expected.nan_count,
        "nan_actual": None,
        "inf_expected": pair.expected.inf_count,
        "inf_actual": None,
        "status": finding.judged.status,
        "reason": finding.judged.reason,
    }
    if measures is not None:
        index = measures.max_abs_index
        row.update(
            shape=list(measures.shape),
            max_abs=_finite(measures.max_abs),
            max_abs_index=None if index is None else list(index),
            relative_error=_finite(measures.relative_error),
            max_ulp=measures.max_ulp,
            cosine=_finite(measures.cosine),
            mse=_finite(measures.mse),
            mismatched=measures.mismatched,
            nan_expected=measures.expected.nan,
            nan_actual=measures.actual.nan,
            inf_expected=measures.expected.inf,
            inf_actual=measures.actual.inf,
        )
    return row


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
