"""`outgrow shard trace`: some seconds of all workers, as a file that Perfetto opens."""

__all__ = ["trace"]

import json
from pathlib import Path

import click

from outgrow.cli import render
from outgrow.cli.dispatcher_options import address_option, token_option
from outgrow.cli.json_output import json_option, print_json
from outgrow.cli.output_files import check_writable, write_text
from outgrow.quantities import format_count, format_seconds

# Version of what `--json` prints; it goes up when a key changes its meaning or goes away.
_FORMAT_VERSION = 1


@click.command()
@address_option
@token_option
@click.option(
    "--seconds", type=click.FloatRange(min=0.1, max=3600), default=5.0, show_default=True,
    metavar="SECONDS", help="How long to record.",
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("shard-trace.json"), show_default=True,
    metavar="FILE", help="Where to write it.",
)  # fmt: skip
@json_option
@render.quiet_option
def trace(address: str | None, token_file: Path | None, seconds: float, out: Path, as_json: bool) -> None:
    """Record what every worker of a running program does for some seconds, and write it as a trace.

    Open the file at https://ui.perfetto.dev or in chrome://tracing: one track for each worker, one for what
    waits at the dispatcher.
    """
    from outgrow.shard.monitor import chrome_trace, open_monitor

    check_writable(out)
    with open_monitor(address, token_file=token_file) as monitor:
        render.note(f"recording {monitor.address} for {format_seconds(seconds)} ...")
        events = monitor.record(seconds)
    write_text(out, json.dumps(chrome_trace(events)))
    messages = sum(event["event"] == "message" for event in events)
    if as_json:
        print_json(_FORMAT_VERSION, {"file": str(out), "seconds": seconds, "messages": messages})
        return
    click.echo(
        f"{out}: {format_count(messages, 'message')} in {format_seconds(seconds)}; open it at https://ui.perfetto.dev"
    )
