"""`outgrow shard visualize`: an instruction log as a picture."""

__all__ = ["visualize"]

from pathlib import Path

import click

from outgrow.cli import render
from outgrow.cli.json_output import json_option, print_json
from outgrow.cli.output_files import check_apart, check_writable, write_text
from outgrow.quantities import format_count

# Version of what `--json` prints; it goes up when a key changes its meaning or goes away.
_FORMAT_VERSION = 1


@click.command()
@click.argument("log", type=click.Path(path_type=Path), metavar="LOG")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE",
    show_default="beside LOG, with .svg", help="Where to write the picture.",
)  # fmt: skip
@json_option
@render.quiet_option
def visualize(log: Path, out: Path | None, as_json: bool) -> None:
    """Draw the instruction log LOG as a timeline: a lane for each worker, a colour for each segment.

    `GT_INSTRUCTION_LOG=FILE` in front of a program writes such a log.
    """
    from outgrow.shard.monitor import draw_timeline, read_log

    picture = log.with_suffix(".svg") if out is None else out
    check_writable(picture)
    check_apart([picture], [log])
    events = read_log(log)
    write_text(picture, draw_timeline(events, f"{log.name}: what each worker did"))
    messages = sum(event["event"] == "message" for event in events)
    workers = events[0]["world_size"]
    if as_json:
        print_json(_FORMAT_VERSION, {"file": str(picture), "messages": messages, "workers": workers})
        return
    click.echo(f"{picture}: {format_count(messages, 'message')} on {format_count(workers, 'worker')}")
