"""A comparison on a terminal: the sentence, the table in order of execution, the curve."""

__all__ = ["kept_rows", "show", "show_briefly"]

from typing import TYPE_CHECKING

import click

from outgrow.cli import render
from outgrow.names import printable

if TYPE_CHECKING:
    from outgrow.compare import Comparison
    from outgrow.compare.finding import Finding

# More rows than fit a screen are thinned out to what matters, unless all are asked for.
_MANY_ROWS, _AROUND, _WORST = 60, 6, 10
_FIGURES = ("relative error", "max abs", "ULP")
_STYLES = {"ok": None, "differs": "bold red", "inherited": "yellow", "healed": "cyan"}


def show(comparison: "Comparison", *, shows_all: bool) -> None:
    """Print the sentence, what probably happened, the table and the curve."""
    _show_answer(comparison)
    if comparison.findings:
        click.echo()
        _show_rows(comparison, shows_all=shows_all)
        click.echo()
        _show_curve(comparison)
    _show_assumptions(comparison)
    _show_rest(comparison)


def show_briefly(comparison: "Comparison") -> None:
    """Print the sentence, what probably happened, and the curve."""
    _show_answer(comparison)
    if comparison.findings:
        _show_curve(comparison)


def _show_answer(comparison: "Comparison") -> None:
    from outgrow.compare import report

    colour = {"match": "bold green", "differ": "bold red", "insufficient": "bold yellow"}[comparison.verdict]
    render.headline(printable(report.sentence(comparison)), colour)
    for found in comparison.diagnoses:
        render.headline(printable(f"  probably {found.kind} at {found.at}: {found.detail}"), None)
    for note in comparison.notes:
        render.headline(printable(f"  assumed: {note}"), "dim")


def _show_curve(comparison: "Comparison") -> None:
    from outgrow.compare import report

    line, mark = report.spark(report.points_of(comparison), max(20, min(render.width(), 120) - 2))
    click.echo(f"Relative error along the run, equal to large:\n  {line}")
    if mark:
        click.echo(f"  {mark}")


def _show_rows(comparison: "Comparison", *, shows_all: bool) -> None:
    findings = comparison.findings
    kept = range(len(findings)) if shows_all else kept_rows(comparison)
    renamed = any(row.pair.expected_name != row.pair.actual_name for row in findings)
    moved = any(row.layout.layout is None or not row.layout.layout.is_identity for row in findings)
    first = comparison.judgement.first_divergence
    columns = [
        "",
        "tensor",
        *(["actual"] if renamed else []),
        "relative error",
        "max abs",
        "at",
        "ULP",
        "NaN",
    ]
    columns += [*(["layout"] if moved else []), "status"]
    rows: list[list[str]] = []
    styles: list[str | None] = []
    previous = -1
    for index in kept:
        if index != previous + 1:
            rows.append(["", f"... {index - previous - 1:,} more", *[""] * (len(columns) - 2)])
            styles.append("dim")
        rows.append(_row(findings[index], is_first=index == first, renamed=renamed, moved=moved))
        styles.append(_STYLES[findings[index].judged.status])
        previous = index
    if previous != len(findings) - 1:
        rows.append(["", f"... {len(findings) - 1 - previous:,} more", *[""] * (len(columns) - 2)])
        styles.append("dim")
    render.table("", columns, rows, styles=styles, right=_FIGURES)


def kept_rows(comparison: "Comparison") -> list[int]:
    """Which rows a screen shows: all of a few; else those around the first that went wrong, the worst, and
    both ends."""
    findings = comparison.findings
    if len(findings) <= _MANY_ROWS:
        return list(range(len(findings)))
    kept = {0, 1, 2, len(findings) - 2, len(findings) - 1}
    first = comparison.judgement.first_divergence
    if first is not None:
        kept.update(range(max(0, first - _AROUND), min(len(findings), first + _AROUND + 1)))
    wrong = [index for index, row in enumerate(findings) if row.judged.status == "differs"]
    kept.update(wrong[:_WORST])
    measured = [index for index, row in enumerate(findings) if row.measures is not None]
    kept.update(sorted(measured, key=lambda index: -_error(findings[index]))[:_WORST])
    return sorted(kept)


def _error(finding: "Finding") -> float:
    return 0.0 if finding.measures is None else finding.measures.relative_error


def _row(finding: "Finding", *, is_first: bool, renamed: bool, moved: bool) -> list[str]:
    from outgrow.compare import report

    pair, measures, layout = finding.pair, finding.measures, finding.layout
    row = [">" if is_first else "", printable(pair.expected_name)]
    if renamed:
        row.append("=" if pair.actual_name == pair.expected_name else printable(pair.actual_name))
    if measures is None:
        row += ["-", "-", "", "-", ""]
    else:
        index = measures.max_abs_index
        nan = (measures.expected.nan, measures.actual.nan)
        row += [
            report.error_text(measures.relative_error),
            report.error_text(measures.max_abs),
            "" if index is None else ",".join(map(str, index)),
            f"{measures.max_ulp:,}" if measures.max_ulp < 10**6 else f"{measures.max_ulp:.0e}",
            f"{nan[0]:,}/{nan[1]:,}" if any(nan) else "",
        ]
    if moved:
        how = layout.reason or "none" if layout.layout is None else layout.layout.describe()
        row.append("" if how == "identity" else how)
    return [*row, finding.judged.status]


def _show_assumptions(comparison: "Comparison") -> None:
    """What could be wrong about pairs and layouts; what is the same for many is said once."""
    names: dict[str, list[str]] = {}
    for finding in comparison.findings:
        # A pair without a layout says so in its row.
        reason = None if finding.layout.layout is None else finding.layout.reason
        for assumed in filter(None, (finding.pair.note, reason)):
            names.setdefault(assumed, []).append(finding.pair.expected_name)
    if names:
        click.echo(f"\nAssumed: {len(names):,}")
        for assumed, pairs in list(names.items())[:_WORST]:
            more = f" and {len(pairs) - 1:,} more" if len(pairs) > 1 else ""
            click.echo(f"  {printable(pairs[0])}{more}: {printable(assumed)}")
        if len(names) > _WORST:
            click.echo(f"  ... {len(names) - _WORST:,} more; --json lists all")


def _show_rest(comparison: "Comparison") -> None:
    from outgrow.compare import report

    pairing = comparison.pairing
    for side, records in (("expected", pairing.unpaired_expected), ("actual", pairing.unpaired_actual)):
        if records:
            click.echo(f"\nOnly in the {side} run: {len(records):,}")
            for record in records[:_WORST]:
                near = ", ".join(printable(name) for name in pairing.near.get(record.name, ()))
                click.echo(
                    f"  {printable(record.name)} {list(record.shape)}" + (f"  like {near}" if near else "")
                )
            if len(records) > _WORST:
                click.echo(f"  ... {len(records) - _WORST:,} more; --json lists all")
    if comparison.refused:
        click.echo(f"\nNot compared: {len(comparison.refused):,}")
        for refusal in comparison.refused[:_WORST]:
            click.echo(f"  {printable(refusal.entry)}: {printable(refusal.reason)}")
        if len(comparison.refused) > _WORST:
            click.echo(f"  ... {len(comparison.refused) - _WORST:,} more; --json lists all")
        for hint in report.hints_of(comparison.refused[:_WORST]):
            click.echo(f"  Hint: {hint}")
