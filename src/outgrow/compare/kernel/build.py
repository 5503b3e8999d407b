"""The compiled kernel as a file: made at first need with the system's compiler, kept in the user's cache."""

__all__ = ["KernelUnavailable", "built_kernel", "find_compiler", "is_built", "kernel_path"]

import hashlib
import importlib.resources
import os
import platform
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from outgrow.cache import cache_directory
from outgrow.errors import OutgrowError
from outgrow.store.lock import StoreLocked, lock_directory

_FLAGS = (
    "-O3", "-std=gnu11", "-shared", "-fPIC", "-pthread", "-fopenmp-simd", "-fno-strict-aliasing",
    "-fno-math-errno", "-fno-trapping-math",
)  # fmt: skip
# Wide vectors are twice as fast where there are any; a compiler leaves them out by itself.
_OF_PROCESSOR = {"x86_64": ("-march=native", "-mprefer-vector-width=512"), "aarch64": ("-mcpu=native",)}
_COMPILE_SECONDS = 120.0


class KernelUnavailable(OutgrowError):
    """There is no compiled kernel here; torch does its work. Caught where the kernel is asked for."""


def find_compiler() -> str:
    """The system's C compiler: `$CC` where set, else `cc`.

    Raises:
        KernelUnavailable: there is none, or this system is not one that the kernel is written for.
    """
    if sys.platform == "win32" or sys.byteorder != "little":
        raise KernelUnavailable("the kernel is written for little-endian Unix systems")
    name = os.environ.get("CC") or "cc"
    found = shutil.which(name)
    if found is None:
        raise KernelUnavailable(f"there is no C compiler {name!r}")
    return found


def kernel_path(compiler: str) -> Path:
    """Where the kernel lies that this compiler makes of this source on this processor.

    Raises:
        KernelUnavailable: this user has no cache directory.
    """
    try:
        cache = cache_directory()
    except OutgrowError as err:
        raise KernelUnavailable(str(err)) from err
    about = Path(compiler).stat()
    what = (
        _source(), " ".join(_flags()), os.path.realpath(compiler), str(about.st_size), str(about.st_mtime_ns),
        platform.machine(), _processor(),
    )  # fmt: skip
    name = hashlib.sha256("\0".join(what).encode()).hexdigest()[:32]
    return cache / "kernels" / name / "measure.so"


def built_kernel() -> Path:
    """The kernel's file; compiled first where it is not there. Takes seconds then.

    A second process that wants it meanwhile waits. What is interrupted leaves nothing behind.

    Raises:
        KernelUnavailable: there is no compiler, it fails, or the cache cannot be written or trusted.
    """
    compiler = find_compiler()
    path = kernel_path(compiler)
    deadline = time.monotonic() + _COMPILE_SECONDS
    while not is_built(path):
        try:
            with lock_directory(path.parent):
                if not is_built(path):
                    _compile(compiler, path)
        except StoreLocked as err:
            if time.monotonic() > deadline:
                raise KernelUnavailable(f"another process compiles it all the time: {err}") from err
            time.sleep(0.05)
        except (OutgrowError, OSError) as err:
            raise KernelUnavailable(str(err)) from err
    _check_owner(path)
    return path


def is_built(path: Path) -> bool:
    """Whether the kernel is there.

    Raises:
        KernelUnavailable: nobody can tell, as in a home directory that is not this user's.
    """
    try:
        return path.exists()
    except OSError as err:
        raise KernelUnavailable(f"cannot look at {str(path)!r}: {err.strerror or err}") from err


def _source() -> str:
    return (importlib.resources.files("outgrow.compare.kernel") / "measure.c").read_text(encoding="utf-8")


def _flags() -> tuple[str, ...]:
    return (*_FLAGS, *_OF_PROCESSOR.get(platform.machine(), ()))


def _processor() -> str:
    """What `-march=native` goes by: a home directory can be shared between machines."""
    about = Path("/proc/cpuinfo")
    if not about.exists():
        return platform.processor()
    wanted = ("model name", "flags", "Features", "CPU part")
    first = about.read_text(errors="replace").split("\n\n", 1)[0]
    return "\n".join(line for line in first.splitlines() if line.startswith(wanted))


def _compile(compiler: str, path: Path) -> None:
    """Into a directory of its own, where all that the compiler writes goes; then to its place at once."""
    for stale in path.parent.glob(".build-*"):
        # Of a process that was killed: only who has the lock compiles.
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=path.parent, ignore_cleanup_errors=True) as work:
        source, made = Path(work) / "measure.c", Path(work) / path.name
        source.write_text(_source(), encoding="utf-8")
        command = [compiler, *_flags(), str(source), "-o", str(made), "-lm"]
        # A group of its own: the compiler's own children go with it, and cannot write when it is gone.
        running = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": work, "LC_ALL": "C"},
            start_new_session=True,
        )
        try:
            output, _ = running.communicate(timeout=_COMPILE_SECONDS)
        except subprocess.TimeoutExpired as err:
            raise KernelUnavailable(f"{compiler} took more than {_COMPILE_SECONDS:.0f} s") from err
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
                running.communicate()
        if running.returncode or not made.exists():
            last = output.decode(errors="replace").strip().splitlines()[-3:]
            raise KernelUnavailable(f"{compiler} failed with code {running.returncode}: {' '.join(last)}")
        made.chmod(0o700)
        made.replace(path)


def _check_owner(path: Path) -> None:
    """Nobody else may have put code there."""
    for part in (path, path.parent):
        try:
            about = part.stat()
        except OSError as err:
            raise KernelUnavailable(f"cannot look at {str(part)!r}: {err.strerror or err}") from err
        if about.st_uid not in (os.geteuid(), 0) or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise KernelUnavailable(f"{part} could be written by somebody else")
