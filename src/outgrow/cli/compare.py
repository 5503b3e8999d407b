"""`outgrow compare`: two runs, and the first tensor that differs."""

__all__ = ["compare"]

from pathlib import Path
from typing import Any

import click

from outgrow.cli import render
from outgrow.cli.comparison import show
from outgrow.cli.json_output import json_option
from outgrow.cli.output_files import check_apart, check_writable, write_text
from outgrow.cli.reading_limits import limit_options, map_option, read_limits
from outgrow.errors import InputError

EXIT_CODES = {"match": 0, "differ": 1, "insufficient": 3}


@click.command()
@click.argument("expected", type=click.Path(), metavar="EXPECTED")
@click.argument("actual", type=click.Path(), metavar="ACTUAL...", nargs=-1, required=True)
@json_option
@click.option(
    "--json-file", type=click.Path(path_type=Path), metavar="FILE", help="Write the JSON object to a file."
)
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), metavar="FILE", help="Write one HTML page."
)
@click.option(
    "--junit", "junit_file", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML."
)
@map_option
@click.option("--only", default="*", show_default=True, metavar="GLOB", help="Only tensors whose names fit.")
@click.option(
    "--rtol", type=click.FloatRange(min=0), metavar="RTOL", help="Tolerance relative to the expected."
)
@click.option("--atol", type=click.FloatRange(min=0), metavar="ATOL", help="Absolute tolerance.")
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
    expected: str, actual: tuple[str, ...], as_json: bool, json_file: Path | None,
    html_file: Path | None, junit_file: Path | None, map_file: Path | None, only: str,
    rtol: float | None, atol: float | None, rule_texts: tuple[str, ...], exact: bool,
    shows_all: bool, **limits: Any,
) -> int:  # fmt: skip
    """Compare two runs, and name the first tensor that differs.

    EXPECTED is the run that is right, ACTUAL the one in question: a recording, a folder, .zip or .tar.gz of
    tensors, or a single file. Several paths as ACTUAL are the ranks of one run, in their order.

    Exit code: 0 where they match, 1 where they differ, 2 for wrong input, 3 where too few tensors could be
    paired to say.
    """
    files = {"html": html_file, "junit": junit_file, "json": json_file}
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
    if as_json:
        click.echo(report.as_json(comparison), nl=False)
    else:
        show(comparison, shows_all=shows_all)
    for file in filter(None, files.values()):
        render.wrote(file)
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
