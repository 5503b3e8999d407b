"""The answer, as the page shows it first."""

__all__ = ["verdict_of"]

from collections import Counter
from typing import Any

from outgrow.capture.recording import Refusal
from outgrow.compare.comparison import Comparison
from outgrow.compare.report.words import sentence
from outgrow.compare.view.listing import Listing
from outgrow.compare.view.plain import shown

_MOST_REFUSED = 200


def verdict_of(comparison: Comparison) -> dict[str, Any]:
    """The verdict of the API, as plain values. Rows are those of `Listing`."""
    judgement, pairing, listing = comparison.judgement, comparison.pairing, Listing(comparison)
    diagnoses = comparison.diagnoses
    wanted = {found.at for found in diagnoses}
    rows: dict[str, int] = {}
    for index, finding in enumerate(comparison.findings if wanted else ()):
        if finding.pair.expected_name in wanted:
            rows.setdefault(finding.pair.expected_name, listing.row_of(index))
    counts: Counter[str] = Counter(finding.judged.status for finding in comparison.findings)
    counts.update(_status(lone.expected, lone.actual) for lone in pairing.lone)
    first, healed = judgement.first_divergence, judgement.healed_at
    return {
        "verdict": judgement.verdict,
        "sentence": shown(sentence(comparison)),
        "expected": shown(comparison.expected.label),
        "actual": [shown(recording.label) for recording in comparison.actual],
        "first": None if first is None else listing.row_of(first),
        "healed": None if healed is None else listing.row_of(healed),
        "counts": counts,
        "pairs": len(comparison.findings),
        "rows": len(listing),
        "notes": [shown(note) for note in comparison.notes],
        "diagnoses": [
            {
                "row": rows.get(found.at),
                "at": shown(found.at),
                "kind": found.kind,
                "detail": shown(found.detail),
            }
            for found in diagnoses
        ],
        "refused": [
            {"entry": shown(refusal.entry), "reason": shown(refusal.reason)}
            for refusal in comparison.refused[:_MOST_REFUSED]
        ],
        "refused_count": len(comparison.refused),
        "unpaired_expected": len(pairing.unpaired_expected),
        "unpaired_actual": len(pairing.unpaired_actual),
    }  # fmt: skip


def _status(expected: object, actual: object) -> str:
    if isinstance(expected or actual, Refusal):
        return "refused"
    return "only actual" if expected is None else "only expected"
