"""The process that a program starts for itself: imports torch once, forks ranks, is the dispatcher."""

__all__ = ["main"]

import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from outgrow.errors import InputError
from outgrow.shard.dispatch.dispatcher import Dispatcher
from outgrow.shard.engines.processes import ForkedRanks
from outgrow.shard.ranks import worker
from outgrow.shard.recovery.gang_supervisor import GangSupervisor, supervisor_options
from outgrow.shard.wire.address import own_address
from outgrow.shard.wire.connection import Connection
from outgrow.shard.wire.frame import FrameKind

# Imported here so that the ranks, forked from this process, have it already.
_PRELOADED = (worker,)


def main(opened: socket.socket, told: dict[str, Any]) -> None:
    """Serve the client at the other end of the socket until it is gone; `told` is what `start_server`
    tells."""
    # The terminal's Ctrl-C is the client's: it ends us by going.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)  # what ranks print must not mix with what the program pipes on
    connection = Connection(opened, limit=told["frame_limit"])
    try:
        dispatcher = _dispatcher(told)
    except (OSError, InputError) as err:
        message, hint = (
            (err.message, err.hint)
            if isinstance(err, InputError)
            else (err, "is GT_INSTRUCTION_LOG writable?")
        )
        body = {"message": f"the workers cannot be started: {message}", "hint": hint}
        connection.queue(FrameKind.REFUSED, json.dumps(body).encode())
        connection.flush_all(time.monotonic() + 1)
        return
    dispatcher.add_client(connection, is_owner=True)
    dispatcher.run()
    # The interpreter's own end takes torch a while, and somebody may wait for us.
    os._exit(0)


def _dispatcher(told: dict[str, Any]) -> Dispatcher:
    source = ForkedRanks(
        told["world_size"],
        cores=told["cores"],
        gpus=told["gpus"],
        memory_bytes=told["memory_bytes"],
        forked=told["forked"],
    )
    dispatcher = Dispatcher(
        told["world_size"],
        source,
        supervisor=GangSupervisor(**supervisor_options(told)),
        frame_limit=told["frame_limit"],
        instruction_log=Path(told["instruction_log"]) if told["instruction_log"] else None,
    )
    dispatcher.watch_owner(told["owner_pid"])
    # Other programs of this user may look in: `outgrow shard top`. Where containers share a network the name
    # may
    # be taken, and nobody looks in.
    with contextlib.suppress(InputError):
        dispatcher.reception.listen(own_address().listen(), None)
    if told["listener"] is not None:
        listener = socket.socket(fileno=told["listener"])
        dispatcher.reception.listen(listener, bytes.fromhex(told["token"]))
    return dispatcher
