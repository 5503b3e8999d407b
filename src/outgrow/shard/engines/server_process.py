"""Starting the process that is the dispatcher of one program, and letting it go."""

__all__ = ["start_server"]

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import torch

from outgrow.shard.environment import Environment
from outgrow.shard.wire.connection import Connection
from outgrow.shard.wire.link import WireLink

# What it is told comes through its socket, not on its command line, which every user of the machine can read.
_BOOT = """\
import json, socket, sys
opened = socket.socket(fileno=int(sys.argv[1]))
told = opened.recv(int(sys.argv[2]), socket.MSG_WAITALL)
if len(told) < int(sys.argv[2]):
    sys.exit()  # the program is gone already
told = json.loads(told)
sys.path[:] = told["path"]
from outgrow.shard.engines.server import main
main(opened, told)
"""
_END_SECONDS = 5.0
_links: "weakref.WeakSet[WireLink]" = weakref.WeakSet()
"""Open ones, for forks of this process."""


def start_server(
    world_size: int,
    *,
    forked: int | None = None,
    threads: int | None = None,
    gpus: int | None = None,
    memory_bytes: int | None = None,
    instruction_log: Path | None = None,
    recovery: dict[str, Any] | None = None,
    listener: socket.socket | None = None,
    token: bytes | None = None,
) -> WireLink:
    """A session with a dispatcher of its own, a fresh process that forks the first `forked` ranks (by default
    all).

    Others come to `listener`, which is taken over, and prove `token`. What is not given is as the environment
    says.
    """
    environment = Environment.read()
    log = instruction_log or environment.instruction_log
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    told = json.dumps(
        {
            "path": sys.path,
            "world_size": world_size,
            "forked": world_size if forked is None else forked,
            "owner_pid": os.getpid(),
            "gpus": torch.cuda.device_count() if gpus is None else gpus,
            "cores": None if threads is None else threads * (world_size if forked is None else forked),
            "frame_limit": environment.frame_limit_bytes,
            "memory_bytes": environment.worker_memory_bytes if memory_bytes is None else memory_bytes,
            "recovery": recovery,
            "instruction_log": None if log is None else str(log.absolute()),
            "listener": None if listener is None else listener.fileno(),
            "token": None if token is None else token.hex(),
        }
    ).encode()
    passed = (theirs.fileno(),) if listener is None else (theirs.fileno(), listener.fileno())
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, str(theirs.fileno()), str(len(told))],
            stdin=subprocess.DEVNULL,
            pass_fds=passed,
            start_new_session=True,
        )
        ours.sendall(told)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        if listener is not None:
            listener.close()
    connection = Connection(ours, limit=environment.frame_limit_bytes)
    link = WireLink(connection, on_close=lambda: _end(process), how_it_ended=lambda: _how(process))
    _links.add(link)
    # At the end of the program at the latest, and when nobody refers to the link any more.
    weakref.finalize(link, _let_go, connection, process, os.getpid())
    return link


def _let_go(connection: Connection, process: "subprocess.Popen[bytes]", pid: int) -> None:
    connection.close()
    if os.getpid() == pid:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(_END_SECONDS)
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


def _close_in_fork() -> None:
    for link in list(_links):
        link.close()


os.register_at_fork(after_in_child=_close_in_fork)
