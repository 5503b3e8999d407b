"""Two runs, side by side: from what the user gives to the verdict."""

__all__ = ["Comparison", "compare"]

from collections.abc import Sequence
from dataclasses import dataclass

from outgrow.capture.recording import Refusal
from outgrow.compare.diagnosis import Diagnosis
from outgrow.compare.finding import Finding
from outgrow.compare.judge import Judgement, Measured, judge
from outgrow.compare.layout import find_stage_layouts
from outgrow.compare.measures import measure
from outgrow.compare.names import pair_records
from outgrow.compare.pair import Pairing
from outgrow.compare.readers.opening import Source, open_recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The outcome."""

    pairing: Pairing
    findings: tuple[Finding, ...]
    judgement: Judgement
    diagnoses: tuple[Diagnosis, ...]
    refused: tuple[Refusal, ...]


def compare(*, expected: Source, actual: Source | Sequence[Source]) -> Comparison:
    """Compare two runs."""
    sources = actual if isinstance(actual, list | tuple) else [actual]
    before, after = open_recording(expected), [open_recording(source) for source in sources]  # type: ignore[arg-type]
    pairing = pair_records(before, after)
    layouts = find_stage_layouts(pairing.pairs)
    measured = []
    for pair, found in zip(pairing.pairs, layouts, strict=True):
        measures = None
        if found.layout is not None:
            laid_out = found.layout.apply([record.read() for record in pair.actual])
            measures = measure(laid_out, pair.expected.read())
        measured.append(
            Measured(
                name=pair.expected_name,
                stage=pair.stage,
                layer=pair.layer,
                kind=pair.expected.kind,
                measures=measures,
            )
        )
    judgement = judge(measured)
    findings = [
        Finding(pair=pair, layout=found, measures=row.measures, judged=word)
        for pair, found, row, word in zip(pairing.pairs, layouts, measured, judgement.judged, strict=True)
    ]
    return Comparison(
        pairing=pairing, findings=tuple(findings), judgement=judgement, diagnoses=(), refused=before.refused
    )
