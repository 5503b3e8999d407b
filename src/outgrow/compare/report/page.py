"""A comparison as one HTML file that needs nothing else, and as a cell of a notebook."""

__all__ = ["as_html", "as_notebook"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from outgrow.compare.comparison import Comparison
from outgrow.compare.finding import Finding
from outgrow.compare.report.curve import STYLE as CURVE_STYLE
from outgrow.compare.report.curve import draw_curve, points_of
from outgrow.compare.report.words import error_text, hints_of, sentence
from outgrow.markup import escaped
from outgrow.quantities import format_count

_TITLES = {"match": "They match", "differ": "They differ", "insufficient": "Too little to say"}
_STATUSES = ("differs", "inherited", "healed", "ok")
_NOTEBOOK_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Which columns say anything."""

    is_renamed: bool
    is_moved: bool
    has_nan: bool

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> "_Columns":
        measured = [finding.measures for finding in findings if finding.measures is not None]
        return cls(
            is_renamed=any(row.pair.expected_name != row.pair.actual_name for row in findings),
            is_moved=any(row.layout.layout is None or not row.layout.layout.is_identity for row in findings),
            has_nan=any(measures.expected.nan or measures.actual.nan for measures in measured),
        )

    def titles(self) -> Iterator[tuple[str, str]]:
        """Name and kind of each column."""
        yield "#", "number"
        yield "expected", "text"
        if self.is_renamed:
            yield "actual", "text"
        if self.is_moved:
            yield "layout", "text"
        yield "shape", "place"
        yield from ((name, "number") for name in ("relative error", "max abs"))
        yield "at", "place"
        yield from ((name, "number") for name in ("ULP", "cosine"))
        if self.has_nan:
            yield "NaN expected / actual", "place"
        yield "status", "text"


def as_html(comparison: Comparison) -> str:
    """The text of a whole page: verdict, curve, every pair, what is unpaired or refused. It loads nothing."""
    from outgrow import __version__

    assets = files("outgrow.compare.report")
    style = (assets / "page.css").read_text(encoding="utf-8")
    script = (assets / "page.js").read_text(encoding="utf-8")
    return "\n".join([
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src '
        "'unsafe-inline'; script-src 'unsafe-inline'\">",
        f"<title>{escaped(_TITLES[comparison.verdict])}: {escaped(comparison.expected.label)}</title>",
        f"<style>\n{style}{CURVE_STYLE}</style>",
        "</head>",
        "<body>",
        '<main class="outgrow-compare">',
        *_head(comparison),
        *_curve(comparison),
        *_table(comparison.findings, is_whole=True),
        *_rest(comparison),
        f"<footer>outgrow {escaped(__version__)}</footer>",
        "</main>",
        f"<script>\n{script}</script>",
        "</body>",
        "</html>\n",
    ])  # fmt: skip


def as_notebook(comparison: Comparison) -> str:
    """A fragment of HTML: verdict, curve, and the pairs that went wrong or are the worst."""
    style = (files("outgrow.compare.report") / "page.css").read_text(encoding="utf-8")
    rows = [finding for finding in comparison.findings if finding.judged.status == "differs"]
    if not rows:
        measured = [finding for finding in comparison.findings if finding.measures is not None]
        worst = sorted(measured, key=_error, reverse=True)[:_NOTEBOOK_ROWS]
        rows = sorted(worst, key=comparison.findings.index)
    return "\n".join([
        f"<style>\n{style}{CURVE_STYLE}</style>",
        '<div class="outgrow-compare">',
        *_head(comparison),
        *_curve(comparison),
        *_table(rows[:_NOTEBOOK_ROWS], is_whole=False),
        "</div>",
    ])  # fmt: skip


def _head(comparison: Comparison) -> Iterator[str]:
    yield f'<header class="{comparison.verdict}">'
    yield f"<h1>{escaped(_TITLES[comparison.verdict])}</h1>"
    answer = sentence(comparison).partition(": ")[2]
    yield f'<p class="sentence">{escaped(answer[:1].upper() + answer[1:])}</p>'
    yield "<dl>"
    yield f"<dt>expected</dt><dd>{escaped(comparison.expected.label)}</dd>"
    for recording in comparison.actual:
        yield f"<dt>actual</dt><dd>{escaped(recording.label)}</dd>"
    yield "</dl>"
    yield "</header>"
    if comparison.diagnoses:
        yield "<section><h2>What probably happened</h2><ul class='diagnoses'>"
        for found in comparison.diagnoses:
            at = f"<code>{escaped(found.at)}</code>"
            yield f"<li><b>{escaped(found.kind)}</b> at {at}: {escaped(found.detail)}</li>"
        yield "</ul></section>"
    if comparison.notes:
        yield "<section><h2>Assumed</h2><ul>"
        yield from (f"<li>{escaped(note)}</li>" for note in comparison.notes)
        yield "</ul></section>"


def _curve(comparison: Comparison) -> Iterator[str]:
    points = points_of(comparison)
    if points:
        yield "<section><h2>Relative error along the run</h2>"
        yield draw_curve(points)
        yield '<p class="legend">'
        yield from (f'<span class="dot {status}"></span>{status} ' for status in _STATUSES)
        yield "</p></section>"


def _table(findings: Sequence[Finding], *, is_whole: bool) -> Iterator[str]:
    if not findings:
        return
    yield "<section>"
    if is_whole:
        yield f"<h2>{format_count(len(findings), 'pair')}, in order of execution</h2>"
        yield '<p class="tools" hidden><label>Find <input type="search" id="find"></label>'
        for status in _STATUSES:
            count = sum(finding.judged.status == status for finding in findings)
            yield f'<label><input type="checkbox" value="{status}" checked> {status} ({count:,})</label>'
        yield "</p>"
    yield '<div class="scroll"><table><thead><tr>'
    columns = _Columns.of(findings)
    yield from (f'<th scope="col" class="{kind}">{escaped(name)}</th>' for name, kind in columns.titles())
    yield "</tr></thead><tbody>"
    for number, finding in enumerate(findings, start=1):
        yield from _row(number, finding, columns)
    yield "</tbody></table></div></section>"


def _row(number: int, finding: Finding, columns: _Columns) -> Iterator[str]:
    pair, measures, judged = finding.pair, finding.measures, finding.judged
    layout = finding.layout.describe() or "none"
    yield f'<tr class="{judged.status}" data-status="{judged.status}">'
    yield _cell(number, "number", number)
    reason = None if finding.layout.layout is None else finding.layout.reason
    note = "".join(f'<small class="note">{escaped(text)}</small>' for text in (pair.note, reason) if text)
    why = f"<small>{escaped(judged.reason)}</small>" if judged.status != "ok" else ""
    yield f"<td><code>{escaped(pair.expected_name)}</code>{why}{note}</td>"
    if columns.is_renamed:
        other = "=" if pair.actual_name == pair.expected_name else pair.actual_name
        yield f"<td><code>{escaped(other)}</code></td>"
    if columns.is_moved:
        yield _cell(layout)
    if measures is None:
        yield _cell(_shape(pair.expected.shape), "place")
        yield _cell(finding.layout.reason or "not measured", "unmeasured")
        yield "<td></td>" * (4 + columns.has_nan)
    else:
        yield _cell(_shape(measures.shape), "place")
        yield _cell(error_text(measures.relative_error), "number", measures.relative_error)
        yield _cell(error_text(measures.max_abs), "number", measures.max_abs)
        yield _cell("" if measures.max_abs_index is None else _shape(measures.max_abs_index), "place")
        yield _cell(f"{measures.max_ulp:,}", "number", measures.max_ulp)
        cosine = "-" if measures.cosine is None else f"{measures.cosine:.6f}"
        yield _cell(cosine, "number", measures.cosine)
        if columns.has_nan:
            counts = (measures.expected.nan, measures.actual.nan)
            yield _cell(f"{counts[0]:,} / {counts[1]:,}" if any(counts) else "", "place")
    yield f'<td><span class="badge {judged.status}">{judged.status}</span></td>'
    yield "</tr>"


def _rest(comparison: Comparison) -> Iterator[str]:
    pairing = comparison.pairing
    for side, records in (("expected", pairing.unpaired_expected), ("actual", pairing.unpaired_actual)):
        if records:
            yield f"<section><h2>Only in the {side} run: {len(records):,}</h2><ul>"
            for record in records:
                near = ", ".join(pairing.near.get(record.name, ()))
                like = f" <small>like {escaped(near)}</small>" if near else ""
                shape = escaped(_shape(record.shape))
                yield f"<li><code>{escaped(record.name)}</code> {shape}{like}</li>"
            yield "</ul></section>"
    if comparison.refused:
        yield f"<section><h2>Not compared: {len(comparison.refused):,}</h2><ul>"
        for refusal in comparison.refused:
            yield f"<li><code>{escaped(refusal.entry)}</code>: {escaped(refusal.reason)}</li>"
        yield "</ul>"
        for hint in hints_of(comparison.refused):
            yield f"<p>Hint: {escaped(hint)}</p>"
        yield "</section>"


def _cell(value: object, kind: str = "text", key: float | None = None) -> str:
    order = f' data-key="{key!r}"' if kind == "number" else ""
    return f'<td class="{kind}"{order}>{escaped(value)}</td>'


def _shape(numbers: Sequence[Any]) -> str:
    return "[" + ", ".join(str(number) for number in numbers) + "]"


def _error(finding: Finding) -> float:
    return 0.0 if finding.measures is None else finding.measures.relative_error
