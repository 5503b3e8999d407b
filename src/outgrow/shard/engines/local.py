"""Workers on this machine, started by the program that uses them and gone when it is."""

__all__ = ["start_local"]

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import weakref
from pathlib import Path

import torch

from outgrow.errors import InputError
from outgrow.shard.environment import Environment
from outgrow.shard.wire.connection import Connection
from outgrow.shard.wire.link import WireLink

_BOOT = """\
import json, sys
told = json.loads(sys.argv[2])
sys.path[:] = told["path"]
from outgrow.shard.engines.server import main
main(int(sys.argv[1]), told)
"""
_links: "weakref.WeakSet[WireLink]" = weakref.WeakSet()
"""Open ones, for the end of the program and for forks of it."""


def start_local(
    world_size: int,
    *,
    threads: int | None = None,
    instruction_log: Path | None = None,
    memory_bytes: int | None = None,
) -> WireLink:
    """A session with `world_size` workers of its own; returns at once, the first answer waits until they are
    there.

    The workers share the cores that this process may use, `threads` each where given, and have a GPU each
    where torch sees any. Where they are not given, the log and the memory of a worker are those of
    `GT_INSTRUCTION_LOG` and `GT_WORKER_MEMORY`. The workers end with `close`, with the program, and with its
    death. No file and no port is left, since none is made.

    Raises:
        InputError: the world size is no whole number of at least 1.
    """
    if type(world_size) is not int or world_size < 1:
        raise InputError(
            f"{world_size!r} workers cannot be started, expected a whole number of at least 1",
            hint="GT_WORKERS=2 or world_size=2 start two",
        )
    environment = Environment.read()
    frame_limit = environment.frame_limit_bytes
    log = instruction_log or environment.instruction_log
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    told = {
        "path": sys.path,
        "world_size": world_size,
        "owner_pid": os.getpid(),
        "gpus": torch.cuda.device_count(),
        "cores": None if threads is None else threads * world_size,
        "frame_limit": frame_limit,
        "memory_bytes": environment.worker_memory_bytes if memory_bytes is None else memory_bytes,
        "instruction_log": None if log is None else str(log.absolute()),
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, str(theirs.fileno()), json.dumps(told)],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    link = WireLink(
        Connection(ours, limit=frame_limit),
        on_close=lambda: _end(process),
        how_it_ended=lambda: _how(process),
    )
    _links.add(link)
    return link


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _how(process: "subprocess.Popen[bytes]") -> str:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    if process.returncode is None:
        return "it closed the line"
    if process.returncode < 0:
        return f"its process was killed by {signal.Signals(-process.returncode).name}"
    return f"its process ended with code {process.returncode}"


def _close_all() -> None:
    for link in list(_links):
        link.close()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_close_all)
