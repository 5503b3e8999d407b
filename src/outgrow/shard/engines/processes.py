"""Ranks as children of this process: forked from what is imported already, gone when it is."""

__all__ = ["ForkedRanks", "die_with_parent"]

import ctypes
import gc
import os
import signal
import socket
import sys
import traceback
from typing import Any

from outgrow.shard.wire.connection import Connection

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when the thread that forked it ends, however that comes about."""
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


class ForkedRanks:
    """Starts ranks by forking. This process must have one thread."""

    def __init__(
        self,
        world_size: int,
        *,
        cores: int | None = None,
        gpus: int = 0,
        memory_bytes: int | None = None,
        forked: int | None = None,
    ) -> None:
        """The first `forked` ranks, by default all, are ours and share `cores` (by default those that this
        process may use) and the GPUs, where there are any; the others come by themselves. `memory_bytes`:
        what one rank may hold of a session's values at rest.
        """
        self.world_size = world_size
        self.forked = world_size if forked is None else forked
        self.cores = cores or len(os.sched_getaffinity(0))
        self.gpus = gpus
        self.memory_bytes = memory_bytes

    def start(self, rank: int) -> tuple[socket.socket, int | None] | None:
        """See `RankSource.start`."""
        if rank >= self.forked:
            return None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        gc.freeze()  # the children shall not copy pages by counting what they never free
        pid = os.fork()
        if pid:
            gc.unfreeze()
            theirs.close()
            return ours, pid
        _be_rank(theirs, parent)
        raise AssertionError("unreachable")

    def configuration(self, rank: int) -> dict[str, Any]:
        """See `RankSource.configuration`."""
        return {
            "threads": max(1, self.cores // max(1, self.forked)),
            "cores": self.cores,
            "memory_bytes": self.memory_bytes,
            "device": f"cuda:{rank % self.gpus}" if self.gpus else "cpu",
            "backend": "nccl" if self.gpus else "gloo",
            "timeout_seconds": 1800.0,
            "start_timeout_seconds": 60.0,
        }


def _be_rank(opened: socket.socket, parent: int) -> None:
    """The life of the child; never returns."""
    code = 1
    try:
        die_with_parent(parent)
        # A terminal's Ctrl-C reaches every process there; what becomes of us the dispatcher decides.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Whatever else the parent has open is not ours: a client would not see its line end while we hold it.
        number = os.dup2(opened.detach(), 3, inheritable=False)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        from outgrow.shard.ranks.worker import serve_rank

        serve_rank(Connection(socket.socket(fileno=number), limit=1 << 20))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
