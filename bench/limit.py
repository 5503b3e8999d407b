"""A command within a memory limit (cgroup v2 or v1, removed afterwards).

`python -m bench.limit --memory 1.9GB -- COMMAND` runs any command so.
"""

__all__ = [
    "Cgroup",
    "LimitUnavailable",
    "Limited",
    "anon_bytes",
    "main",
    "open_cgroup",
    "run_limited",
]

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from outgrow.quantities import format_bytes, parse_bytes

_V1 = Path("/sys/fs/cgroup/memory")
_V2 = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


class LimitUnavailable(RuntimeError):
    """This process may not limit memory here; the message says what is missing and how to get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
    """One memory cgroup that was made for one command."""

    path: Path
    version: int

    def enter(self) -> None:
        """Move the calling process into the group."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def peak_bytes(self) -> int | None:
        """Most memory ever charged, page cache included; None where the kernel does not say."""
        return _number(self.path / ("memory.peak" if self.version == 2 else "memory.max_usage_in_bytes"))

    def oom_kills(self) -> int:
        """How many processes the kernel killed for exceeding the limit."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        for line in (self.path / name).read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """End what still runs inside, then remove the group."""
        for _ in range(200):
            for line in (self.path / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(line), signal.SIGKILL)
            try:
                self.path.rmdir()
            except OSError:
                time.sleep(0.02)  # a killed process stays charged until it is reaped
            else:
                return
        self.path.rmdir()


@contextlib.contextmanager
def open_cgroup(limit_bytes: int) -> Iterator[Cgroup]:
    """A fresh memory cgroup of `limit_bytes`, removed on exit whatever happens.

    Raises:
        LimitUnavailable: no controller is mounted, or this user may not make a group.
    """
    group = _make(limit_bytes)
    try:
        yield group
    finally:
        group.remove()


def _make(limit_bytes: int) -> Cgroup:
    name = f"outgrow-bench-{os.getpid()}-{time.monotonic_ns()}"
    problems: list[str] = []
    for version, parent in _parents():
        path = parent / name
        try:
            if version == 2 and "memory" not in (parent / "cgroup.subtree_control").read_text().split():
                (parent / "cgroup.subtree_control").write_text("+memory")
            path.mkdir()
        except OSError as err:
            problems.append(f"{parent}: {err.strerror}")
            continue
        group = Cgroup(path=path, version=version)
        try:
            _set_limit(group, limit_bytes)
        except OSError as err:
            problems.append(f"{path}: {err.strerror}")
            group.remove()
            continue
        return group
    found = "; ".join(problems) or "no memory controller is mounted under /sys/fs/cgroup"
    raise LimitUnavailable(
        f"cannot make a memory cgroup ({found}). Run as root, or in a delegated scope: "
        "`systemd-run --user --scope -p Delegate=yes python -m bench …`, or without a limit: --unlimited"
    )


def _parents() -> Iterator[tuple[int, Path]]:
    """Where a group could be made: v1, else v2 at the root, beside this process and below it."""
    if (_V1 / "memory.limit_in_bytes").exists():
        yield 1, _V1
    for root in _V2:
        controllers = root / "cgroup.controllers"
        if not controllers.exists() or "memory" not in controllers.read_text().split():
            continue
        yield 2, root
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::/") and len(line) > 4:
                own = root / line[4:]
                yield from ((2, own.parent), (2, own))


def _set_limit(group: Cgroup, limit_bytes: int) -> None:
    if group.version == 2:
        (group.path / "memory.max").write_text(str(limit_bytes))
        swap, value = group.path / "memory.swap.max", 0
    else:
        (group.path / "memory.limit_in_bytes").write_text(str(limit_bytes))
        swap, value = group.path / "memory.memsw.limit_in_bytes", limit_bytes
    if swap.exists():
        swap.write_text(str(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """How a limited command ended."""

    returncode: int
    """As `subprocess` gives it: negative for a signal."""
    timed_out: bool
    seconds: float
    limit_bytes: int | None
    """None where it ran without a limit."""
    cgroup_peak_bytes: int | None
    """Page cache included: equals the limit for everyone who reads files. None where nobody counted."""
    oom_kills: int
    peak_anon_bytes: int
    """Highest RssAnon seen from outside, every 50 ms, of the command's first process."""
    output_tail: str = ""
    """The last words on stderr, where they were kept from the terminal."""


def run_limited(
    command: Sequence[str],
    *,
    limit_bytes: int | None,
    allow_unlimited: bool = False,
    timeout_seconds: float | None = None,
    environment: dict[str, str] | None = None,
    quiet: bool = False,
) -> Limited:
    """Run `command` in a cgroup of `limit_bytes` (None: no limit).

    Its streams are this process's own; with `quiet` its output goes nowhere but into `output_tail`.

    Raises:
        LimitUnavailable: this user may not limit memory and `allow_unlimited` was not asked for.
    """
    with contextlib.ExitStack() as stack:
        group = None
        if limit_bytes is not None:
            try:
                group = stack.enter_context(open_cgroup(limit_bytes))
            except LimitUnavailable as err:
                if not allow_unlimited:
                    raise
                print(f"warning: running WITHOUT a memory limit: {err}", file=sys.stderr)
        output = stack.enter_context(tempfile.TemporaryFile()) if quiet else None
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            preexec_fn=group.enter if group else None,  # before exec, or imports are charged elsewhere
            env=environment,
            stdout=subprocess.DEVNULL if quiet else None,
            stderr=output,
        )
        try:
            timed_out, peak = _watch(process, timeout_seconds)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return Limited(
            returncode=process.returncode,
            timed_out=timed_out,
            seconds=time.perf_counter() - started,
            limit_bytes=limit_bytes if group else None,
            cgroup_peak_bytes=group.peak_bytes() if group else None,
            oom_kills=group.oom_kills() if group else 0,
            peak_anon_bytes=peak,
            output_tail=_tail(output) if output else "",
        )


def _watch(process: "subprocess.Popen[bytes]", timeout_seconds: float | None) -> tuple[bool, int]:
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    peak = 0
    while process.poll() is None:
        peak = max(peak, anon_bytes(process.pid))
        if deadline is not None and time.monotonic() > deadline:
            return True, peak
        time.sleep(0.05)
    return False, peak


def anon_bytes(pid: int | str = "self") -> int:
    """RssAnon of a process in bytes; 0 where it has ended or the system does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 2000))
    return output.read().decode(errors="replace")


def _number(path: Path) -> int | None:
    return int(path.read_text()) if path.exists() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command within a limit, then say on stderr how much it used."""
    parser = argparse.ArgumentParser(prog="python -m bench.limit", description=__doc__)
    parser.add_argument("--memory", required=True, help="limit, such as 1.9GB or 512MiB")
    parser.add_argument(
        "--unlimited", action="store_true", help="go on without a limit where it cannot be set"
    )
    parser.add_argument("--timeout", type=float, help="seconds after which the command is ended")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("no command given")
    try:
        ended = run_limited(
            command,
            limit_bytes=parse_bytes(options.memory),
            allow_unlimited=options.unlimited,
            timeout_seconds=options.timeout,
        )
    except LimitUnavailable as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    peak = "unknown" if ended.cgroup_peak_bytes is None else format_bytes(ended.cgroup_peak_bytes)
    print(
        f"{ended.seconds:.2f} s, peak RssAnon {format_bytes(ended.peak_anon_bytes)}, cgroup peak {peak}, "
        f"{ended.oom_kills} OOM kills, exit {ended.returncode}",
        file=sys.stderr,
    )
    return ended.returncode if ended.returncode >= 0 else 128 - ended.returncode


if __name__ == "__main__":
    sys.exit(main())
