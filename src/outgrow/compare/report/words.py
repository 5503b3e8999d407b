"""A comparison in words: the sentence that answers the question, and figures as people read them."""

__all__ = ["as_text", "error_text", "explained", "hints_of", "sentence"]

import math
from collections.abc import Sequence

from outgrow.capture.recording import Refusal
from outgrow.compare.comparison import Comparison
from outgrow.compare.finding import Finding
from outgrow.quantities import format_count


def sentence(comparison: Comparison) -> str:
    """The answer in one sentence, for example `They differ: the first tensor that went wrong is ...`."""
    judgement = comparison.judgement
    pairs = format_count(len(comparison.findings), "pair")
    first = comparison.first_divergence
    if judgement.verdict == "insufficient":
        return f"Too little to say: {judgement.reason}."
    if first is None:
        return f"They match: {pairs}, {_worst(comparison)}{_left_out(comparison)}."
    healed = comparison.healed_at
    end = "" if healed is None else f"; it healed at {healed.pair.expected_name!r}"
    return f"They differ: {_named(first)} is the first tensor that went wrong ({explained(first)}){end}."


def explained(finding: Finding) -> str:
    """Why a pair was judged as it was."""
    return finding.judged.reason


def error_text(error: float | None) -> str:
    """A relative error: `0`, `3.1e-07`, `inf`; `-` where there is none."""
    if error is None or math.isnan(error):
        return "-"
    if error == 0:
        return "0"
    return "inf" if math.isinf(error) else f"{error:.1e}"


def _named(finding: Finding) -> str:
    expected, actual = finding.pair.expected_name, finding.pair.actual_name
    return repr(expected) if expected == actual else f"{expected!r} (actual: {actual!r})"


def _left_out(comparison: Comparison) -> str:
    """What the answer says nothing about, so that nobody takes it for an answer about everything."""
    pairing = comparison.pairing
    parts = {
        "only in the expected run": len(pairing.unpaired_expected),
        "only in the actual run": len(pairing.unpaired_actual),
        "refused": len(comparison.refused),
    }
    said = ", ".join(f"{count:,} {what}" for what, count in parts.items() if count)
    return f"; not compared: {said}" if said else ""


def _worst(comparison: Comparison) -> str:
    errors = [row.measures.relative_error for row in comparison.findings if row.measures is not None]
    # Equal, since in the same places; but hardly what anybody hoped for.
    nan = sum(row.measures is not None and row.measures.expected.nan > 0 for row in comparison.findings)
    also = f"; both have NaN in {format_count(nan, 'pair')}" if nan else ""
    if all(row.measures is not None and row.measures.is_equal for row in comparison.findings):
        return f"all numbers equal{also}"
    return f"largest relative error {error_text(max(errors, default=None))}{also}"


_TEXT_ROWS = 12


def as_text(comparison: Comparison) -> str:
    """Sentence, diagnoses, and the rows around the first pair that went wrong, as plain text."""
    lines = [sentence(comparison)]
    lines += [f"  probably: {found.kind} at {found.at!r}: {found.detail}" for found in comparison.diagnoses]
    first = comparison.judgement.first_divergence
    start = max(0, (first or 0) - _TEXT_ROWS // 2)
    for index, finding in enumerate(comparison.findings[start : start + _TEXT_ROWS], start=start):
        error = None if finding.measures is None else finding.measures.relative_error
        mark = ">" if index == first else " "
        lines.append(f"{mark} {finding.judged.status:9} {error_text(error):>8}  {finding.pair.expected_name}")
    lines += [
        f"  only in the expected run: {record.name}"
        for record in comparison.pairing.unpaired_expected[:_TEXT_ROWS]
    ]
    lines += [
        f"  only in the actual run: {record.name}"
        for record in comparison.pairing.unpaired_actual[:_TEXT_ROWS]
    ]
    lines += [
        f"  not compared: {refusal.entry}: {refusal.reason}" for refusal in comparison.refused[:_TEXT_ROWS]
    ]
    lines += [f"  Hint: {hint}" for hint in hints_of(comparison.refused[:_TEXT_ROWS])]
    return "\n".join(lines)


def hints_of(refused: Sequence[Refusal]) -> tuple[str, ...]:
    """What would help against refusals, each once: many are refused for one reason."""
    return tuple(dict.fromkeys(refusal.hint for refusal in refused if refusal.hint))
