"""`outgrow shard trace`: some seconds of all workers, as a file that Perfetto opens."""

__all__ = ["trace"]

import json
from pathlib import Path

import click

from outgrow.cli import render
from outgrow.cli.output_files import check_writable
from outgrow.quantities import format_seconds


@click.command()
@click.option("--address", metavar="ADDRESS", help="Of a dispatcher; left out: the one that runs here.")
@click.option("--token", metavar="HEX", envvar="GT_TOKEN", help="Of that dispatcher, else GT_TOKEN.")
@click.option(
    "-s", "--seconds", type=click.FloatRange(min=0.1, max=3600), default=5.0, show_default=True, metavar="N",
    help="How long to record.",
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("shard-trace.json"), show_default=True,
    metavar="FILE", help="Where to write it.",
)  # fmt: skip
@render.quiet_option
def trace(address: str | None, token: str | None, seconds: float, out: Path) -> None:
    """Record what every worker of a running program does for some seconds, and write it as a trace.

    Open the file at https://ui.perfetto.dev or in chrome://tracing: one track for each worker, one for what
    waits at the dispatcher.
    """
    from outgrow.shard.monitor import chrome_trace, open_monitor

    check_writable(out)
    with open_monitor(address, token=token) as monitor:
        render.note(f"recording {monitor.address} for {format_seconds(seconds)} ...")
        events = monitor.record(seconds)
    out.write_text(json.dumps(chrome_trace(events)), encoding="utf-8")
    messages = sum(event["event"] == "message" for event in events)
    click.echo(
        f"{out}: {messages:,} messages in {format_seconds(seconds)}; open it at https://ui.perfetto.dev"
    )
