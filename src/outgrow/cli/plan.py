"""`outgrow plan`: what a budget keeps and what it streams, before anything is run."""

__all__ = ["plan", "show_preview", "write_picture"]

from pathlib import Path
from typing import TYPE_CHECKING

import click

from outgrow.cli import render
from outgrow.cli.json_output import json_option, print_json
from outgrow.cli.model_options import budget_option, dtype_option, model_argument
from outgrow.cli.output_files import check_writable, write_text
from outgrow.errors import InputError
from outgrow.quantities import format_bytes, format_count, format_rate, format_seconds, parse_bytes

if TYPE_CHECKING:
    from outgrow.stream.prediction import Prediction
    from outgrow.stream.preview import Preview

# Version of what `--json` prints; it goes up when a key changes its meaning or goes away.
_FORMAT_VERSION = 1


@click.command()
@model_argument
@budget_option
@dtype_option
@click.option("--svg", type=click.Path(path_type=Path), metavar="FILE", help="Write the plan as a picture.")
@click.option(
    "--bandwidth",
    metavar="RATE",
    show_default="measured",
    help="Take this for the speed of the disk: 3GB/s.",
)
@click.option("--no-probe", is_flag=True, help="Do not measure the disk.")
@json_option
@render.quiet_option
def plan(
    model: str,
    budget: str,
    dtype: str | None,
    svg: Path | None,
    bandwidth: str | None,
    no_probe: bool,
    as_json: bool,
) -> None:
    """Show what a budget keeps of MODEL and what it streams, and predict the seconds for a token.

    MODEL is the directory of a Hugging Face model, a file in it, a name on the Hub, or a config.json
    whose weights are not here. No weight is kept; a part of the files is read for a fraction of a second to
    measure the disk.
    """
    budget_bytes = _positive(budget, "a budget")
    rate = None if bandwidth is None else float(_positive(bandwidth.removesuffix("/s"), "a bandwidth"))
    check_writable(svg)
    from outgrow.stream.preview import preview_model  # torch is loaded only when the command runs

    preview = preview_model(
        model, budget_bytes=budget_bytes, dtype=dtype, is_probed=not no_probe, bytes_per_second=rate
    )
    if svg is not None:
        write_picture(preview, svg)
        render.wrote(svg)
    if as_json:
        print_json(_FORMAT_VERSION, preview.as_dict())
    else:
        show_preview(preview)


def show_preview(preview: "Preview") -> None:
    """Print a preview as tables."""
    made = preview.plan
    dtype = str(preview.dtype).removeprefix("torch.")
    share = made.budget_bytes / max(made.weights_bytes, 1)
    rows: list[tuple[str, str]] = [
        ("Model", f"{preview.architecture}, {dtype}, {format_count(len(preview.weights), 'weight')}"),
        (
            "Weights",
            format_bytes(made.weights_bytes) + ("" if preview.has_weights else " (not here: by config)"),
        ),
        ("Budget", f"{format_bytes(made.budget_bytes)}, {share:.0%} of the weights"),
        ("  stays", format_bytes(made.resident_bytes)),
    ]
    if made.window_bytes:
        rows.append(("  window", f"{format_bytes(made.window_bytes)}, through which the rest passes"))
    if made.staging_bytes:
        rows.append(("  staging", f"{format_bytes(made.staging_bytes)}, for reads that cannot go in place"))
    rows.append(("Least budget", format_bytes(preview.least_bytes)))
    rows.append(("Each pass", _pass_line(preview)))
    render.picture(preview.name, rows)
    click.echo()
    kinds = preview.kinds()
    render.table(
        "Weights, in order of use",
        ["name", "count", "size", "stays", "streams", "by row"],
        [
            (
                kind.name.removesuffix(".weight"),
                kind.count,
                format_bytes(kind.nbytes),
                _amount(kind.resident_bytes),
                _amount(kind.streamed_bytes),
                _amount(kind.row_bytes),
            )
            for kind in kinds
        ],
    )
    click.echo()
    render.picture("Prediction", _prediction_rows(preview.prediction))


def write_picture(preview: "Preview", path: Path) -> None:
    """Write the plan as an SVG file.

    Raises:
        StoreError: the file cannot be written.
    """
    from outgrow.stream.picture import draw_plan

    write_text(path, draw_plan(preview))


def _pass_line(preview: "Preview") -> str:
    made = preview.plan
    if made.streams_nothing:
        return "reads nothing: all weights fit"
    if not made.pass_bytes:
        return "reads single rows of tables alone"
    return f"reads {format_bytes(made.pass_bytes)} from disk"


def _prediction_rows(prediction: "Prediction") -> list[tuple[str, str]]:
    seconds = prediction.seconds_per_token
    rows = []
    if seconds is None:
        rows.append(("A token", "unknown: give the disk's --bandwidth"))
    else:
        words = {"disk": "the disk is the limit", "compute": "the processor is the limit"}
        rows.append(("A token", f"{format_seconds(seconds)}: {words[prediction.limit]}"))
    if prediction.bytes_per_second is None:
        rows.append(("Reading", f"disk {prediction.bandwidth_source}"))
    else:
        reading = format_seconds(prediction.read_seconds or 0.0)
        rate = format_rate(prediction.bytes_per_second)
        source = {"measured": "measured now on its own files"}.get(
            prediction.bandwidth_source, prediction.bandwidth_source
        )
        rows.append(("Reading", f"{reading} at {rate} ({source})"))
    rows.append(
        ("Computing", f"{format_seconds(prediction.compute_seconds)} (estimated from one product timed here)")
    )
    return rows


def _positive(size: str, what: str) -> int:
    nbytes = parse_bytes(size)
    if nbytes <= 0:
        raise InputError(f"{what} must be above zero", hint="write a size such as 27MB or 4GiB")
    return nbytes


def _amount(nbytes: int) -> str:
    return format_bytes(nbytes) if nbytes else "-"
