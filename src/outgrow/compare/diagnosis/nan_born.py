"""NaN or infinities that nothing before had."""

__all__ = ["diagnose"]

from outgrow.compare.diagnosis.context import Context
from outgrow.compare.diagnosis.diagnosis import Diagnosis
from outgrow.compare.finding import Finding


def diagnose(context: Context) -> Diagnosis | None:
    """NaN or infinities where numbers are expected, and none in the activations before."""
    measures = context.finding.measures
    if measures is None:
        return None
    expected, actual = measures.expected, measures.actual
    nan, inf = actual.nan - expected.nan, actual.inf - expected.inf
    if nan <= 0 and inf <= 0:
        return None
    before = [finding for finding in context.before if _is_activation(finding)]
    if any(_has_unlike(finding) for finding in before):
        return None
    what = f"{nan:,} NaN" if nan > 0 else f"{inf:,} infinities"
    of = f"{what} are born here, of {measures.elements:,} numbers"
    at = f"; the first is at {list(actual.first_nan)}" if nan > 0 and actual.first_nan is not None else ""
    past = f"; the {len(before)} tensors before it have none that are not expected" if before else ""
    return Diagnosis(at=context.finding.pair.expected_name, kind="nan_born", detail=of + at + past)


def _is_activation(finding: Finding) -> bool:
    return finding.pair.expected.kind in ("outputs", "inputs", "tensor") and finding.measures is not None


def _has_unlike(finding: Finding) -> bool:
    measures = finding.measures
    return measures is not None and (
        measures.actual.nan > measures.expected.nan or measures.actual.inf > measures.expected.inf
    )
