"""The answer, as the page shows it first."""

__all__ = ["verdict_of"]

from collections import Counter
from typing import Any

from outgrow.compare.comparison import Comparison
from outgrow.compare.report.words import sentence

_MOST_REFUSED = 200


def verdict_of(comparison: Comparison) -> dict[str, Any]:
    """The verdict of the API, as plain values."""
    judgement, pairing = comparison.judgement, comparison.pairing
    places = {finding.pair.expected_name: row for row, finding in reversed([*enumerate(comparison.findings)])}
    return {
        "verdict": judgement.verdict,
        "sentence": sentence(comparison),
        "expected": comparison.expected.label,
        "actual": [recording.label for recording in comparison.actual],
        "first": judgement.first_divergence,
        "healed": judgement.healed_at,
        "counts": Counter(finding.judged.status for finding in comparison.findings),
        "pairs": len(comparison.findings),
        "notes": list(comparison.notes),
        "diagnoses": [
            {"row": places.get(found.at), "at": found.at, "kind": found.kind, "detail": found.detail}
            for found in comparison.diagnoses
        ],
        "refused": [
            {"entry": refusal.entry, "reason": refusal.reason}
            for refusal in comparison.refused[:_MOST_REFUSED]
        ],
        "refused_count": len(comparison.refused),
        "unpaired_expected": len(pairing.unpaired_expected),
        "unpaired_actual": len(pairing.unpaired_actual),
    }
