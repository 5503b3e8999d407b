"""`outgrow compare`: two runs, and the first tensor that differs."""

__all__ = ["compare"]

from pathlib import Path
from typing import Any

import click

from outgrow.cli import render
from outgrow.cli.comparison import show
from outgrow.cli.output_files import check_apart, check_writable, write_text
from outgrow.cli.reading_limits import limit_options, read_limits
from outgrow.errors import InputError

EXIT_CODES = {"match": 0, "differ": 1, "insufficient": 3}


@click.command()
@click.argument("expected", metavar="EXPECTED")
@click.argument("actual", metavar="ACTUAL [ACTUAL_RANK1 ...]", nargs=-1, required=True)
@click.option(
    "--json", "json_file", metavar="FILE|-", help="Write the comparison as JSON; - prints only that."
)
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), metavar="FILE", help="Write one HTML page."
)
@click.option(
    "--junit", "junit_file", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML."
)
@click.option(
    "--map", "map_file", metavar="FILE", help="Which names answer which: `expected = actual` lines."
)
@click.option("--only", default="*", show_default=True, metavar="GLOB", help="Compare names that fit alone.")
@click.option("--rtol", type=click.FloatRange(min=0), metavar="X", help="Tolerance relative to the expected.")
@click.option("--atol", type=click.FloatRange(min=0), metavar="Y", help="Absolute tolerance.")
@click.option(
    "--rule",
    "rule_texts",
    multiple=True,
    metavar="GLOB=RTOL,ATOL",
    help="Tolerances of names that fit; may be repeated, the first that fits counts.",
)
@click.option("--exact", is_flag=True, help="Any number that is not equal is a difference.")
@click.option("--all", "shows_all", is_flag=True, help="Show every row, however many.")
@limit_options
@render.quiet_option
def compare(
    expected: str, actual: tuple[str, ...], json_file: str | None, html_file: Path | None,
    junit_file: Path | None, map_file: str | None, only: str, rtol: float | None, atol: float | None,
    rule_texts: tuple[str, ...], exact: bool, shows_all: bool, **limits: Any,
) -> int:  # fmt: skip
    """Compare two runs, and name the first tensor that differs.

    EXPECTED is the run that is right, ACTUAL the one in question: a recording, a folder, .zip or .tar.gz of
    tensors, or a single file. More paths after ACTUAL are further ranks of the same run, in their order.

    Exit codes: 0 they match; 1 they differ; 2 wrong input; 3 too few tensors could be paired to say.
    """
    files = {"html": html_file, "junit": junit_file}
    prints_json = json_file == "-"
    if json_file is not None and not prints_json:
        files["json"] = Path(json_file)
    for file in files.values():
        check_writable(file)
    check_apart(
        (file for file in files.values() if file is not None),
        (path for path in (expected, *actual, map_file) if path),
    )
    rules = [_parsed_rule(text) for text in rule_texts]
    has_rules = rtol is not None or atol is not None or bool(rules)
    if exact and has_rules:
        raise InputError(
            "--exact allows no tolerance", hint="leave out --rtol, --atol and --rule, or --exact"
        )
    # torch is loaded only when the command runs
    from outgrow.compare import Rules, report
    from outgrow.compare import compare as compare_runs

    with render.progress() as listener, compare_runs(
        expected=expected,
        actual=list(actual),
        only=only,
        name_map=map_file,
        rules=Rules(rtol=rtol or 0.0, atol=atol or 0.0, patterns=tuple(rules)) if has_rules else None,
        is_exact=exact,
        limits=read_limits(limits),
        listener=listener,
    ) as comparison:  # fmt: skip
        for name, file in files.items():
            if file is not None:
                write_text(file, report.FORMATS[name](comparison))
        verdict = comparison.verdict
        _ = comparison.diagnoses  # which read tensors, and are shown when the files are closed
    if prints_json:
        click.echo(report.as_json(comparison), nl=False)
    else:
        show(comparison, shows_all=shows_all)
        for name, file in files.items():
            if file is not None:
                render.note(f"{name.upper()}: {file}")
    return EXIT_CODES[verdict]


def _parsed_rule(text: str) -> tuple[str, float, float]:
    glob, equals, tolerances = text.rpartition("=")
    try:
        rtol, atol = (float(number) for number in tolerances.split(","))
    except ValueError:
        equals = ""
    if not equals or not glob or not (rtol >= 0 and atol >= 0):
        raise InputError(
            f"cannot read the rule {text!r}", hint="write GLOB=RTOL,ATOL, for example '*.norm=1e-3,1e-5'"
        )
    return glob, rtol, atol
