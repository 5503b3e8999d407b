"""What `outgrow doctor` measures and reports: the machine, its disk, and what outgrow would do with them."""

__all__ = ["DoctorReport", "choose_backend", "examine"]

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from outgrow import __version__
from outgrow.cache import cache_directory
from outgrow.cli.doctor_findings import find_packages, look_around, torch_problem
from outgrow.cli.doctor_rooms import Findings, Part, judge_rooms, what_to_install
from outgrow.errors import DeviceError, InputError

# Version of what `--json` prints; it goes up when a key changes its meaning or goes away.
_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """Everything that `outgrow doctor` found out; what `--json` prints.

    Where torch cannot be imported, what it takes torch to find out is None.
    """

    version: int
    """Version of this format."""
    outgrow: str
    """Version of outgrow."""
    python: str
    """Version of the interpreter."""
    system: str
    """Operating system and architecture."""
    torch: dict[str, Any]
    """`version`, `cuda` (None for a CPU build), `threads`, `problem` (why it cannot be imported, or None)."""
    cpu: dict[str, Any] | None
    """`model`, `count`, `usable`, `quota`."""
    memory: dict[str, int] | None
    """`limit`, `used`, `available` in bytes, control groups respected."""
    gpus: list[dict[str, Any]]
    """`index`, `name`, `total_bytes`, `capability`, `pinned_copy_bytes_per_second` (None: not measured)."""
    gpudirect: dict[str, Any]
    """`is_usable`, `reason`."""
    disk: dict[str, Any] | None
    """`path`, `direct_reads` (whether O_DIRECT works), `error`, and `direct_bytes_per_second` and
    `buffered_bytes_per_second` (None: not measured)."""
    comparing: dict[str, Any] | None
    """What measures tensors in `outgrow compare`: `is_compiled`, `path`, `reason`."""
    web: dict[str, Any]
    """Whether `outgrow web` can serve its page: `is_installed`, `reason`."""
    backend: dict[str, str] | None
    """`device`, `reader`, `name` (as in `BackendType`), `reason`."""
    rooms: dict[str, dict[str, dict[str, Any]]]
    """For each room its parts, for each part `name`, `state` (`yes`, `reduced`, `no`), `reason`, `install`
    and `extra`."""
    install: str | None
    """The line for pip that brings every extra that is missing; None where none is."""


def examine(path: Path | None, *, nbytes: int) -> DoctorReport:
    """Measure and decide; `path` is an existing file or directory, or None for the cache directory's disk.

    Raises:
        InputError: the path does not exist, or `nbytes` is too small to measure. A disk that cannot be
        measured, and whatever is not installed, is part of the report.
    """
    place = _existing(path)
    problem = torch_problem()
    if problem is not None:
        return _without_torch(problem)

    from outgrow import devices  # torch is loaded only when the command runs
    from outgrow.compare.kernel import kernel_status
    from outgrow.devices.gpudirect import gpudirect_state

    found = devices.take_inventory()
    disk = _measure_disk(place, nbytes)
    direct_to_gpu = gpudirect_state()
    gpus = []
    for gpu in found.gpus:
        copied = _attempt(
            lambda index=gpu.index: devices.probe_copy_bandwidth(f"cuda:{index}").bytes_per_second
        )
        gpus.append({**asdict(gpu), "pinned_copy_bytes_per_second": copied[0]})
    rooms = judge_rooms(
        look_around(
            gpudirect=(direct_to_gpu.is_usable, direct_to_gpu.reason),
            gpus=len(gpus),
            direct_reads=disk["direct_reads"],
            disk=place,
        )
    )
    return DoctorReport(
        version=_FORMAT_VERSION,
        outgrow=__version__,
        python=found.python,
        system=found.system,
        torch={
            "version": found.torch, "cuda": found.torch_cuda, "threads": found.torch_threads, "problem": None
        },
        cpu=asdict(found.cpu),
        memory=asdict(found.memory),
        gpus=gpus,
        gpudirect=asdict(direct_to_gpu),
        disk=disk,
        comparing=asdict(kernel_status()),
        web=_web_state(rooms),
        backend=choose_backend(
            has_gpu=bool(gpus),
            direct_reads=disk["direct_reads"],
            gpudirect=direct_to_gpu.is_usable,
            path=place,
        ),
        rooms=_plain(rooms),
        install=what_to_install(rooms),
    )  # fmt: skip


def _without_torch(problem: str) -> DoctorReport:
    """The little that can be said, above all what to do about it."""
    rooms = judge_rooms(Findings(torch=None, torch_problem=problem, packages=find_packages()))
    return DoctorReport(
        version=_FORMAT_VERSION,
        outgrow=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        torch={"version": None, "cuda": None, "threads": None, "problem": problem},
        cpu=None,
        memory=None,
        gpus=[],
        gpudirect={"is_usable": False, "reason": "torch cannot be imported"},
        disk=None,
        comparing=None,
        web=_web_state(rooms),
        backend=None,
        rooms=_plain(rooms),
        install=what_to_install(rooms),
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
    try:
        place = cache_directory()
    except InputError:  # nobody's home: what is measured then is where the user stands
        return Path.cwd()
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


def _web_state(rooms: Mapping[str, Mapping[str, Part]]) -> dict[str, Any]:
    page = rooms["compare"]["page"]
    reason = page.reason if page.install is None else f"{page.reason}: {page.install}"
    return {"is_installed": page.extra is None, "reason": reason}


def _plain(rooms: Mapping[str, Mapping[str, Part]]) -> dict[str, dict[str, dict[str, Any]]]:
    return {room: {key: asdict(part) for key, part in parts.items()} for room, parts in rooms.items()}


def _attempt(measure: Any) -> tuple[Any, str | None]:
    """The outcome, or None and the error as text: one figure that fails must not cost the others."""
    try:
        return measure(), None
    except DeviceError as err:
        return None, str(err)
