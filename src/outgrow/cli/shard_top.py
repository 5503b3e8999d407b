"""`outgrow shard top`: what each worker does, now."""

__all__ = ["top"]

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outgrow.cli import render
from outgrow.cli.dispatcher_options import address_option, token_option
from outgrow.cli.json_output import json_option, print_json
from outgrow.quantities import format_bytes, format_count, format_rate, format_seconds

if TYPE_CHECKING:
    from outgrow.shard.monitor import Monitor

# Version of what `--json` prints; it goes up when a key changes its meaning or goes away.
_FORMAT_VERSION = 1
_COLUMNS = ("worker", "state", "busy", "memory", "instr/s", "queue", "exchanged", "client", "pid", "host")


@click.command()
@address_option
@token_option
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True, metavar="SECONDS",
    help="Time between two looks.",
)  # fmt: skip
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Look so often, then end.")
@json_option
@render.quiet_option
def top(
    address: str | None, token_file: Path | None, interval: float, count: int | None, as_json: bool
) -> None:
    """Show what every worker of a running program does: busy, memory, speed, queue and traffic.

    Without --address the program is found that runs for you on this machine. On a terminal the table is
    drawn anew at every look, until Ctrl-C; else it is printed once, or --count times. --json looks once.
    """
    from outgrow.shard.monitor import open_monitor

    with open_monitor(address, token_file=token_file) as monitor:
        if as_json:
            print_json(_FORMAT_VERSION, _once(monitor, interval))
            return
        is_live = render.can_clear() and count is None
        rounds = 0
        before = monitor.look()
        while rounds != (count or (-1 if is_live else 1)):
            time.sleep(interval)
            after = monitor.look()
            if is_live:
                render.clear()
            _show(monitor, before, after)
            before, rounds = after, rounds + 1


def _once(monitor: "Monitor", interval: float) -> dict[str, Any]:
    from outgrow.shard.monitor import worker_figures

    before = monitor.look()
    time.sleep(interval)
    after = monitor.look()
    return {
        "address": monitor.address,
        "seconds": after["seconds"],
        "workers": [worker.as_dict() for worker in worker_figures(before, after)],
        "sessions": after["sessions"],
    }


def _show(monitor: "Monitor", before: dict[str, Any], after: dict[str, Any]) -> None:
    from outgrow.shard.monitor import worker_figures

    rows = [
        (
            worker.worker,
            "ready" if worker.is_ready else "starting",
            "-" if worker.busy is None else f"{worker.busy:.0%}",
            "-" if worker.memory_bytes is None else format_bytes(worker.memory_bytes),
            _number(worker.instructions_per_second),
            worker.queue,
            _rate(worker.exchanged_bytes_per_second),
            _rate(worker.client_bytes_per_second),
            worker.pid or "-",
            worker.host or "-",
        )
        for worker in worker_figures(before, after)
    ]
    clients = len(after["sessions"])
    workers = after["world_size"]
    title = f"{monitor.address}: {format_count(workers, 'worker')} for "
    title += f"{format_seconds(after['seconds'])}, "
    title += f"{format_count(clients, 'session')}"
    render.table(
        title,
        _COLUMNS,
        rows,
        right=("worker", "busy", "memory", "instr/s", "queue", "exchanged", "client", "pid"),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _rate(value: float | None) -> str:
    return "-" if value is None else format_rate(value)
