"""What a comparison says of a case, against the truth."""

__all__ = ["Outcome", "examine", "judge_alone"]

import traceback
from dataclasses import dataclass, field

from bench.planted.case import PERMUTED, Case
from bench.planted.dump import Dump
from bench.planted.points import Point
from bench.planted.transport import Sources
from outgrow.compare.comparison import Comparison, compare
from outgrow.compare.judge import Judgement, Measured, judge
from outgrow.compare.measures import measure

_MISPLACED = 0.25
"""Relative error from which tensors of two clean runs are not laid out alike; bf16 leaves less than 0.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One row of the result."""

    word: str
    """`exact`, `near` (another stage of the same layer), `early`, `late`, `missed`, `insufficient`, `crash`;
    of clean pairs `clean`, `false_alarm`, `insufficient`, `crash`; of those with a hidden permutation also
    `explained` (it is the diagnosis) and `silent` (a match that does not mention it)."""
    said: str
    """What was said instead, for readers."""
    diagnoses: tuple[str, ...] = ()
    """Kinds of those at the first divergence."""
    unmeasured: tuple[str, ...] = ()
    """Pairs without a layout."""
    wrong_layouts: tuple[str, ...] = ()
    """Pairs whose layout does not put the clean run's tensors where the expected ones are."""
    unpaired: tuple[str, ...] = ()
    """Points that both sides show and that were not paired, or paired with another point."""
    reasons: tuple[str, ...] = field(default=())


def judge_alone(case: Case) -> Outcome:
    """With perfect pairs and layouts: only the judge can be wrong."""
    points = list(case.canonical)
    measured = []
    for point in points:
        expected, actual = case.canonical[point]
        measured.append(
            Measured(
                name=str(point), stage=point.stage, layer=point.layer, kind="tensor",
                measures=measure(actual, expected),
            )
        )  # fmt: skip
    judgement = judge(measured)
    first = judgement.first_divergence
    word, said = _word(case, judgement, None if first is None else (points[first],))
    return Outcome(word=word, said=said, reasons=_reasons(judgement))


def examine(case: Case) -> Outcome:
    """End to end, from what the user gives."""
    try:
        with (
            Sources(case.expected, case.variant.transport) as expected,
            Sources(case.actual, case.variant.transport) as actual,
            compare(expected=expected.ranks[0], actual=actual.ranks) as comparison,
        ):
            return _examine(case, comparison)
    except Exception as err:  # a crash is a result
        where = traceback.extract_tb(err.__traceback__)[-1]
        return Outcome(
            word="crash",
            said=f"{type(err).__name__} at {where.filename.rpartition('/outgrow/')[2]}:{where.lineno}: {err}",
        )


def _examine(case: Case, comparison: Comparison) -> Outcome:
    judgement = comparison.judgement
    findings = comparison.findings
    first = judgement.first_divergence
    points = [_points(case, finding.pair) for finding in findings]
    word, said = _word(case, judgement, None if first is None else points[first])
    at = None if first is None else findings[first].pair.expected_name
    if case.wrong_parameters and first is not None and judgement.verdict == "differ":
        word = "exact" if at in case.wrong_parameters else word if word != "exact" else "late"
    parameters = {f.pair.expected_name for f in findings if f.pair.expected.kind == "parameters"}
    diagnoses = tuple(d.kind for d in comparison.diagnoses if d.at == at or d.at in parameters)
    if case.kind in PERMUTED:
        if word == "false_alarm" and {"permutation", "wrong_rank_order"} & {*diagnoses}:
            word = "explained"
        notes = [finding.layout.reason or finding.layout.suspected for finding in findings]
        if word == "clean" and not any(notes) and not comparison.diagnoses:
            word = "silent"
    unmeasured, wrong = [], []
    for finding in findings:
        layout = finding.layout.layout
        if layout is None:
            unmeasured.append(f"{finding.pair.expected_name}: {finding.layout.reason}")
        elif (
            not layout.is_identity
            and finding.pair.expected.kind != "parameters"
            and (problem := _misplaced(case, finding))
        ):
            wrong.append(problem)
    paired = {point for found in points if len(found) == 1 for point in found}
    shown = case.expected.points & case.actual.points
    return Outcome(
        word=word,
        said=said,
        diagnoses=diagnoses,
        unmeasured=tuple(unmeasured),
        wrong_layouts=tuple(wrong),
        unpaired=tuple(sorted(str(point) for point in shown - paired)),
        reasons=_reasons(judgement),
    )


def _reasons(judgement: Judgement) -> tuple[str, ...]:
    first = judgement.first_divergence
    return () if first is None else (judgement.judged[first].reason,)


def _bare(name: str) -> str:
    return name.removesuffix(".output")


def _points(case: Case, pair: object) -> tuple[Point, ...]:
    """What a pair is about; nothing where its sides show different points."""
    sides = []
    for side, record, dump in (
        ("expected", pair.expected, case.expected),  # type: ignore[attr-defined]
        ("actual", pair.actual[0], case.actual),  # type: ignore[attr-defined]
    ):
        points = dump.holds.get(_bare(record.name), ())
        fused = pair.fused  # type: ignore[attr-defined]
        if fused is not None and fused.side == side:
            points = (points[fused.index],)
        sides.append(points)
    return sides[0] if sides[0] == sides[1] else ()


def _misplaced(case: Case, finding: object) -> str | None:
    """Whether a layout puts the tensors of the clean run elsewhere than the expected ones are.

    Where a permutation is hidden, those without it and those with it may be what the layout is for.
    """
    sides = [(case.clean_expected, case.clean)]
    if case.kind in PERMUTED:
        sides.append((case.expected, case.actual))
    gap = min(_gap(expected, actual, finding) for expected, actual in sides)
    if gap <= _MISPLACED:
        return None
    pair, layout = finding.pair, finding.layout.layout  # type: ignore[attr-defined]
    return f"{pair.expected_name}: {layout.describe()}: off by {gap:.2g}"


def _gap(expected: Dump, actual: Dump, finding: object) -> float:
    """Relative Frobenius norm of what lies between both sides of a pair, laid out as found."""
    pair, found = finding.pair, finding.layout  # type: ignore[attr-defined]
    ranks = (
        actual.ranks if len(pair.actual) == len(actual.ranks) else [actual.ranks[r.rank] for r in pair.actual]
    )
    tensors = [rank[_bare(record.name)] for rank, record in zip(ranks, pair.actual, strict=True)]
    put = found.layout.apply(tensors).double()
    whole = found.expected_layout.apply([expected.ranks[0][_bare(pair.expected.name)]]).double()
    if put.shape != whole.shape:
        return float("inf")
    return float((put - whole).norm() / max(float(whole.norm()), 1e-300))


def _word(case: Case, judgement: Judgement, found: tuple[Point, ...] | None) -> tuple[str, str]:
    verdict = judgement.verdict
    if verdict == "insufficient":
        return "insufficient", judgement.reason
    if case.truth is None:
        if verdict == "match":
            return "clean", ""
        return "false_alarm", _said(found, judgement)
    if verdict == "match" or found is None:
        return "missed", judgement.reason
    if found == (case.truth,):
        return "exact", ""
    if not found:
        return "late", "a pair of different tensors"
    order = list(case.canonical)
    if found[0].layer == case.truth.layer:
        return "near", _said(found, judgement)
    is_early = found[0] in order and order.index(found[0]) < order.index(case.truth)
    return ("early" if is_early else "late"), _said(found, judgement)


def _said(found: tuple[Point, ...] | None, judgement: Judgement) -> str:
    names = "/".join(map(str, found or ()))
    return f"{names}: {'; '.join(_reasons(judgement))}"
