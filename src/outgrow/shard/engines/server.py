"""The process that an engine starts: imports torch once, forks the ranks, is the dispatcher."""

__all__ = ["main"]

import os
import signal
import socket
from pathlib import Path
from typing import Any

from outgrow.shard.dispatch.dispatcher import Dispatcher
from outgrow.shard.engines.processes import ForkedRanks
from outgrow.shard.ranks import worker
from outgrow.shard.wire.address import own_address
from outgrow.shard.wire.connection import Connection

# Imported here so that the ranks, forked from this process, have it already.
_PRELOADED = (worker,)


def main(owner: int, told: dict[str, Any]) -> None:
    """Serve the client at the other end of the inherited descriptor `owner` until it is gone.

    `told`: `world_size`, `owner_pid`, `gpus`, `cores` (None for all that may be used).
    """
    # The terminal's Ctrl-C is the client's: it ends us by going.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)  # what ranks print must not mix with what the program pipes on
    source = ForkedRanks(told["world_size"], cores=told["cores"], gpus=told["gpus"])
    dispatcher = Dispatcher(
        told["world_size"],
        source,
        frame_limit=told["frame_limit"],
        instruction_log=Path(told["instruction_log"]) if told["instruction_log"] else None,
    )
    dispatcher.watch_owner(told["owner_pid"])
    limit = told["frame_limit"]
    dispatcher.add_client(Connection(socket.socket(fileno=owner), limit=limit), is_owner=True)
    # Other programs of this user may look in: `outgrow shard top`.
    dispatcher.reception.listen(own_address().listen(), None)
    dispatcher.run()
    # The interpreter's own end takes torch a while, and somebody may wait for us.
    os._exit(0)
