"""Looking for what the rooms depend on: packages, shared memory, loopback, a compiler, a display."""

__all__ = ["find_packages", "look_around", "loopback_problem", "shared_memory_problem", "torch_problem"]

import importlib.metadata
import importlib.util
import os
import shutil
import socket
import sys
from pathlib import Path

from outgrow.cli.display import has_display
from outgrow.cli.doctor_rooms import Findings, extras

_SECONDS = 2.0


def look_around(*, gpudirect: tuple[bool, str], gpus: int, direct_reads: bool, disk: Path) -> Findings:
    """What the rooms depend on, for a torch that can be imported; nothing is left behind."""
    import torch  # loaded only when the command runs

    from outgrow.compare.kernel import kernel_status
    from outgrow.devices.inventory import read_cpu

    kernel = kernel_status()
    # Not there, but with a place to come to: it is compiled at first need.
    will_compile = kernel.path is not None and not Path(kernel.path).exists()
    return Findings(
        torch=torch.__version__,
        packages=find_packages(),
        gpus=gpus,
        gpudirect=gpudirect,
        direct_reads=direct_reads,
        disk=str(disk),
        compiled_kernel=(kernel.is_compiled or will_compile, kernel.reason),
        has_compiler=shutil.which(os.environ.get("CC") or "cc") is not None,
        is_linux=sys.platform == "linux",
        shared_memory_problem=shared_memory_problem(),
        loopback_problem=loopback_problem(),
        # As `shard` itself would find out, which alone may use it.
        has_gloo=torch.distributed.is_available() and torch.distributed.is_gloo_available(),  # noqa: TID251
        cpus=read_cpu().usable,
        has_display=has_display(),
    )


def torch_problem() -> str | None:
    """Why torch cannot be imported, in one line; None where it can."""
    try:
        import torch  # noqa: F401 - whether it can be is the question
    except (ImportError, OSError) as err:  # OSError: a library of its own that is missing or broken
        return str(err).splitlines()[0] if str(err) else type(err).__name__
    return None


def find_packages() -> dict[str, str]:
    """Versions of the packages of `extras` that are there, by pip's names, without importing any."""
    found = {}
    for packages in extras.values():
        for package in packages:
            if importlib.util.find_spec(package.module) is None:
                continue
            try:
                found[package.name] = importlib.metadata.version(package.name)
            except importlib.metadata.PackageNotFoundError:  # put on the path by hand
                found[package.name] = "unknown"
    return found


def shared_memory_problem() -> str | None:
    """Why no sealed file in memory can be made, as workers share values; None where one was made.

    These files (memfd) lie in no file system: the size of /dev/shm does not limit them.
    """
    if not hasattr(os, "memfd_create"):
        return "this system has no memfd_create"
    import fcntl

    try:
        file = os.memfd_create("outgrow-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as err:
        return f"memfd_create: {err.strerror}"
    try:
        os.write(file, b"outgrow")
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    except OSError as err:
        return f"sealing: {err.strerror}"
    finally:
        os.close(file)
    return None


def loopback_problem() -> str | None:
    """Why nobody on this machine can call 127.0.0.1; None where a call came through."""
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), timeout=_SECONDS),
        ):
            server.settimeout(_SECONDS)
            server.accept()[0].close()
    except OSError as err:
        return err.strerror or str(err)
    return None
