"""`outgrow doctor`: what this machine has, how fast it is, and what each room can therefore do here."""

__all__ = ["doctor"]

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from outgrow.cli import render
from outgrow.cli.doctor_machine import DoctorReport, examine
from outgrow.cli.json_output import json_option, print_json
from outgrow.quantities import format_bytes, format_rate, parse_bytes

_STYLES = {"yes": None, "reduced": "yellow", "no": "red"}


@click.command()
@click.option(
    "--path", type=click.Path(path_type=Path), metavar="PATH", show_default="the cache",
    help="A directory or file on the disk to measure.",
)  # fmt: skip
@click.option(
    "--size", default="256MiB", show_default=True, metavar="SIZE",
    help="How much to read for each figure of the disk.",
)  # fmt: skip
@json_option
@render.quiet_option
def doctor(path: Path | None, size: str, as_json: bool) -> None:
    """Show what this machine has, how fast it is, and what each room can do here.

    What is missing is said with what to install. To measure the disk it writes a temporary file of twice SIZE
    at most, which has no name and is gone afterwards. Nothing is sent anywhere.
    """
    render.note("measuring the disk ...")
    report = examine(path, nbytes=parse_bytes(size))
    if as_json:
        print_json(report.version, asdict(report))
        return
    _show(report)


def _show(report: DoctorReport) -> None:
    render.picture(
        "This machine",
        [
            ("outgrow", report.outgrow),
            ("Python", report.python),
            ("System", report.system),
            ("torch", _torch_line(report.torch)),
            *_parts(report),
        ],
    )
    if report.disk is not None:
        click.echo()
        _show_disk(report.disk)
    if report.backend is not None:
        click.echo()
        render.picture(
            "What outgrow would stream with",
            [
                ("Device", report.backend["device"]),
                ("Backend", report.backend["name"]),
                ("Reader", report.backend["reader"]),
                ("Why", report.backend["reason"]),
            ],
        )
    click.echo()
    _show_rooms(report)


def _parts(report: DoctorReport) -> list[tuple[str, str]]:
    """Processor, memory and GPUs, where torch could be asked."""
    cpu, memory = report.cpu, report.memory
    if cpu is None or memory is None:
        return []
    quota = f", control groups grant {cpu['quota']:g}" if cpu["quota"] is not None else ""
    direct = ("usable: " if report.gpudirect["is_usable"] else "no: ") + report.gpudirect["reason"]
    return [
        ("CPU", f"{cpu['model']}, {cpu['usable']} of {cpu['count']} usable{quota}"),
        ("Memory", f"{format_bytes(memory['available'])} available of {format_bytes(memory['limit'])}"),
        *((f"GPU {gpu['index']}", _gpu_line(gpu)) for gpu in report.gpus),
        *([] if report.gpus else [("GPU", "none that torch can use")]),
        ("GPUDirect", direct),
    ]


def _show_disk(disk: dict[str, Any]) -> None:
    refused = "unknown" if disk["error"] else "refused"
    rows = [("Path", disk["path"]), ("O_DIRECT", "works" if disk["direct_reads"] else refused)]
    rows += [("Direct reads", _rate(disk["direct_bytes_per_second"]))]
    rows += [("Buffered reads", _rate(disk["buffered_bytes_per_second"]))]
    rows += [("Problem", disk["error"])] if disk["error"] else []
    render.picture("Its disk (cold, best of two)", rows)


def _show_rooms(report: DoctorReport) -> None:
    rows, styles = [], []
    for room, parts in report.rooms.items():
        for index, part in enumerate(parts.values()):
            reason = part["reason"] + (f": {part['install']}" if part["install"] else "")
            rows.append((room if index == 0 else "", part["name"], part["state"], reason))
            styles.append(_STYLES[part["state"]])
    render.table(
        "What each room can do here", ("Room", "What", "Here", "Why, and what to install"), rows,
        styles=styles, right=(),
    )  # fmt: skip
    if report.install is not None:
        click.echo(f"\nAll that is missing at once: {report.install}")


def _torch_line(torch: dict[str, Any]) -> str:
    if torch["version"] is None:
        return f"cannot be imported: {torch['problem']}"
    built = f"for CUDA {torch['cuda']}" if torch["cuda"] else "CPU build"
    return f"{torch['version']} ({built}, {torch['threads']} threads)"


def _gpu_line(gpu: dict[str, Any]) -> str:
    rate = _rate(gpu["pinned_copy_bytes_per_second"])
    return f"{gpu['name']}, {format_bytes(gpu['total_bytes'])}, pinned copies {rate}"


def _rate(bytes_per_second: float | None) -> str:
    return "not measured" if bytes_per_second is None else format_rate(bytes_per_second)
