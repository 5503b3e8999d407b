"""What Linux control groups of both versions allow this process, read under a root that tests can replace."""

__all__ = ["GroupLevel", "cpu_quota", "memory_levels"]

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLevel:
    """One directory of the hierarchy that bounds this process, and how its files are named."""

    directory: Path
    """Where the files are."""
    limits: tuple[str, ...]
    """The files that hold limits, each `max` or a number: beyond the first, processes are killed."""
    usage: str
    """The file that holds the usage in bytes, page cache included."""
    file_pages: tuple[str, ...]
    """The keys of `memory.stat` that count page cache, which the kernel takes back when memory gets short."""


def memory_levels(root: Path = Path("/")) -> tuple[GroupLevel, ...]:
    """Every level, innermost first, that may limit this process's memory; empty where there are no control
    groups.

    The limit of a process is the least one along the path, so that all levels matter. Levels without a limit
    are listed too: one may be set while the program runs.
    """
    levels: list[GroupLevel] = []
    for directory, version in _directories(root, "memory"):
        if version == 1:
            level = GroupLevel(
                directory=directory,
                limits=("memory.limit_in_bytes",),
                usage="memory.usage_in_bytes",
                file_pages=("total_inactive_file", "total_active_file"),
            )
        else:
            level = GroupLevel(
                directory=directory,
                limits=("memory.max", "memory.high"),
                usage="memory.current",
                file_pages=("inactive_file", "active_file"),
            )
        if (directory / level.limits[0]).exists():
            levels.append(level)
    return tuple(levels)


def cpu_quota(root: Path = Path("/")) -> float | None:
    """How many CPUs' worth of time the tightest level grants, such as 1.5; None where there is no limit."""
    quotas: list[float] = []
    for directory, version in _directories(root, "cpu"):
        if version == 1:
            quota, period = _words(directory / "cpu.cfs_quota_us"), _words(directory / "cpu.cfs_period_us")
            words = quota[:1] + period[:1]
        else:
            words = _words(directory / "cpu.max")
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0:
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def _directories(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """The directories from this process's group up to the mount, with the version of their hierarchy."""
    mounts = list(_mounts(root, controller))
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        version = 2 if controllers == "" else 1
        if version == 1 and controller not in controllers.split(","):
            continue
        for mount_version, mount_root, mount_point in mounts:
            if mount_version != version:
                continue
            # A container may see the path as the host names it while only its own part is mounted: then the
            # mount itself is our group.
            inside = PurePosixPath(path)
            inside = inside.relative_to(mount_root) if inside.is_relative_to(mount_root) else PurePosixPath()
            if ".." in inside.parts:
                inside = PurePosixPath()
            top = root / mount_point.lstrip("/")
            for part in (inside, *inside.parents) if inside.parts else (inside,):
                yield top / part, version
            break


def _mounts(root: Path, controller: str) -> Iterator[tuple[int, str, str]]:
    """Version, mounted root and mount point of each hierarchy that can hold `controller`."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 1:
            continue
        options = kind[2].split(",") if len(kind) > 2 else []
        if kind[0] == "cgroup2":
            yield 2, _unescape(fields[3]), _unescape(fields[4])
        elif kind[0] == "cgroup" and controller in options:
            yield 1, _unescape(fields[3]), _unescape(fields[4])


def _unescape(path: str) -> str:
    """Mountinfo writes a blank as `\\040`."""
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    lines = _lines(path)
    return lines[0].split() if lines else []
