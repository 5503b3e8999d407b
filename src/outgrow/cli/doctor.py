"""`outgrow doctor`: what this machine has, how fast it is, and what outgrow would therefore do."""

__all__ = ["DoctorReport", "doctor", "examine"]

import importlib.metadata
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from outgrow import __version__
from outgrow.cache import cache_directory
from outgrow.cli import render
from outgrow.errors import DeviceError, InputError
from outgrow.quantities import format_bytes, format_rate, parse_bytes

# Version of what `--json` prints; it goes up when a key changes its meaning or goes away.
_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """Everything that `outgrow doctor` found out; what `--json` prints."""

    version: int
    """Version of this format."""
    outgrow: str
    """Version of outgrow."""
    python: str
    """Version of the interpreter."""
    system: str
    """Operating system and architecture."""
    torch: dict[str, Any]
    """`version`, `cuda` (None for a CPU build), `threads`."""
    cpu: dict[str, Any]
    """`model`, `count`, `usable`, `quota`."""
    memory: dict[str, int]
    """`limit`, `used`, `available` in bytes, control groups respected."""
    gpus: list[dict[str, Any]]
    """`index`, `name`, `total_bytes`, `capability`, `pinned_copy_bytes_per_second` (None: not measured)."""
    gpudirect: dict[str, Any]
    """`is_usable`, `reason`."""
    disk: dict[str, Any]
    """`path`, `direct_reads` (whether O_DIRECT works), `error`, and `direct_bytes_per_second` and
    `buffered_bytes_per_second` (None: not measured)."""
    comparing: dict[str, Any]
    """What measures tensors in `outgrow compare`: `is_compiled`, `path`, `reason`."""
    web: dict[str, Any]
    """Whether `outgrow web` can serve its page: `is_installed`, `reason`."""
    backend: dict[str, str]
    """`device`, `reader`, `name` (as in `BackendType`), `reason`."""


@click.command()
@click.option(
    "--path", type=click.Path(path_type=Path), default=None, metavar="PATH",
    help="A directory or file on the disk to measure; the cache directory where left out.",
)  # fmt: skip
@click.option(
    "--size", default="256MiB", show_default=True, help="How much to read for each figure of the disk."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@render.quiet_option
def doctor(path: Path | None, size: str, as_json: bool) -> None:
    """Show what this machine has, how fast it is, and which backend outgrow would choose.

    To measure the disk it writes a temporary file of twice SIZE at most, which has no name and is gone
    afterwards. Nothing is sent anywhere.
    """
    render.note("measuring the disk ...")
    report = examine(path, nbytes=parse_bytes(size))
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
        return
    _show(report)


def examine(path: Path | None, *, nbytes: int) -> DoctorReport:
    """Measure and decide; `path` is an existing file or directory, or None for the cache directory's disk.

    Raises:
        InputError: the path does not exist, or `nbytes` is too small to measure. A disk that cannot be
        measured is part of the report.
    """
    from outgrow import devices  # torch is loaded only when the command runs
    from outgrow.compare.kernel import kernel_status
    from outgrow.devices.gpudirect import gpudirect_state

    place = _existing(path)
    found = devices.take_inventory()
    disk = _measure_disk(place, nbytes)
    direct_to_gpu = gpudirect_state()
    gpus = []
    for gpu in found.gpus:
        copied = _attempt(
            lambda index=gpu.index: devices.probe_copy_bandwidth(f"cuda:{index}").bytes_per_second
        )
        gpus.append({**asdict(gpu), "pinned_copy_bytes_per_second": copied[0]})
    return DoctorReport(
        version=_FORMAT_VERSION,
        outgrow=__version__,
        python=found.python,
        system=found.system,
        torch={"version": found.torch, "cuda": found.torch_cuda, "threads": found.torch_threads},
        cpu=asdict(found.cpu),
        memory=asdict(found.memory),
        gpus=gpus,
        gpudirect=asdict(direct_to_gpu),
        disk=disk,
        comparing=asdict(kernel_status()),
        web=_web_state(),
        backend=choose_backend(
            has_gpu=bool(gpus),
            direct_reads=disk["direct_reads"],
            gpudirect=direct_to_gpu.is_usable,
            path=place,
        ),
    )


def choose_backend(*, has_gpu: bool, direct_reads: bool, gpudirect: bool, path: Path) -> dict[str, str]:
    """What `auto` comes to on such a machine, with the reason in a sentence."""
    reader = "direct" if direct_reads else "buffered"
    how = (
        f"direct reads (O_DIRECT works on {path})"
        if direct_reads
        else f"buffered reads (the file system of {path} takes no O_DIRECT)"
    )
    if not has_gpu:
        return {
            "device": "cpu", "reader": reader, "name": "mmap",
            "reason": f"no CUDA device, so weights stream from disk to main memory by {how}",
        }  # fmt: skip
    also = (
        "; GPUDirect is there and is taken where a probe of the model's files shows it faster"
        if gpudirect
        else ""
    )
    return {
        "device": "cuda", "reader": reader, "name": "cuda",
        "reason": f"a CUDA device, so weights stream through pinned memory to the GPU by {how}{also}",
    }  # fmt: skip


def _existing(path: Path | None) -> Path:
    if path is not None:
        if not path.exists():
            raise InputError(
                f"{path} does not exist", hint="give a directory or file on the disk to be measured"
            )
        return path
    place = cache_directory()
    # The cache may not have been needed yet; its disk is that of the nearest directory above it.
    return next((parent for parent in (place, *place.parents) if parent.is_dir()), Path.cwd())


def _measure_disk(path: Path, nbytes: int) -> dict[str, Any]:
    from outgrow import devices

    direct_reads, error = _attempt(lambda: devices.supports_direct_reads(path))
    rates: dict[str, float] = {}
    # Twice and interleaved: the first read of a sleeping or throttled disk is not what it does later.
    for mode in ("direct", "buffered") * 2:
        if mode == "direct" and not direct_reads:
            continue
        rate, problem = _attempt(
            lambda mode=mode: devices.probe_read_bandwidth(path, mode=mode, nbytes=nbytes).bytes_per_second
        )
        error = error or problem
        if rate is not None:
            rates[mode] = max(rate, rates.get(mode, 0.0))
        if problem is not None:
            break
    return {
        "path": str(path),
        "direct_reads": bool(direct_reads),
        "direct_bytes_per_second": rates.get("direct"),
        "buffered_bytes_per_second": rates.get("buffered"),
        "error": error,
    }


def _web_state() -> dict[str, Any]:
    found = {}
    for package in ("starlette", "uvicorn"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return {
                "is_installed": False,
                "reason": f"{package} is missing: pip install 'outgrow[web]'",
            }
    return {
        "is_installed": True,
        "reason": " and ".join(f"{package} {version}" for package, version in found.items()),
    }


def _attempt(measure: Any) -> tuple[Any, str | None]:
    """The outcome, or None and the error as text: one figure that fails must not cost the others."""
    try:
        return measure(), None
    except DeviceError as err:
        return None, str(err)


def _show(report: DoctorReport) -> None:
    cpu, memory, disk = report.cpu, report.memory, report.disk
    built = f"for CUDA {report.torch['cuda']}" if report.torch["cuda"] else "CPU build"
    quota = f", control groups grant {cpu['quota']:g}" if cpu["quota"] is not None else ""
    render.picture(
        "This machine",
        [
            ("outgrow", report.outgrow),
            ("Python", report.python),
            ("System", report.system),
            ("torch", f"{report.torch['version']} ({built}, {report.torch['threads']} threads)"),
            ("CPU", f"{cpu['model']}, {cpu['usable']} of {cpu['count']} usable{quota}"),
            ("Memory", f"{format_bytes(memory['available'])} available of {format_bytes(memory['limit'])}"),
            *((f"GPU {gpu['index']}", _gpu_line(gpu)) for gpu in report.gpus),
            *([] if report.gpus else [("GPU", "none that torch can use")]),
            (
                "GPUDirect",
                ("usable: " if report.gpudirect["is_usable"] else "no: ") + report.gpudirect["reason"],
            ),
        ],
    )
    click.echo()
    refused = "unknown" if disk["error"] else "refused"
    rows = [("Path", disk["path"]), ("O_DIRECT", "works" if disk["direct_reads"] else refused)]
    rows += [("Direct reads", _rate(disk["direct_bytes_per_second"]))]
    rows += [("Buffered reads", _rate(disk["buffered_bytes_per_second"]))]
    rows += [("Problem", disk["error"])] if disk["error"] else []
    render.picture("Its disk (cold, best of two)", rows)
    click.echo()
    backend = report.backend
    render.picture(
        "What outgrow would do",
        [
            ("Device", backend["device"]),
            ("Backend", backend["name"]),
            ("Reader", backend["reader"]),
            ("Why", backend["reason"]),
            ("Compare", report.comparing["reason"]),
            ("Page", ("outgrow web, by " if report.web["is_installed"] else "no: ") + report.web["reason"]),
        ],
    )


def _gpu_line(gpu: dict[str, Any]) -> str:
    rate = _rate(gpu["pinned_copy_bytes_per_second"])
    return f"{gpu['name']}, {format_bytes(gpu['total_bytes'])}, pinned copies {rate}"


def _rate(bytes_per_second: float | None) -> str:
    return "not measured" if bytes_per_second is None else format_rate(bytes_per_second)
