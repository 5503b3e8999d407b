"""The dispatcher's end of one rank."""

__all__ = ["RankLine"]

import os
import signal
import time
from typing import Any

from outgrow.shard.wire.connection import Connection


class RankLine:
    """A rank's connection, and its process where it is a child of ours."""

    def __init__(self, rank: int, connection: Connection, pid: int | None) -> None:
        self.rank = rank
        self.connection = connection
        self.pid = pid
        """None where the rank was started by somebody else."""
        self.is_ready = False
        self.is_lost = False
        self.clock_seconds = 0.0
        """To add to its monotonic times to get ours; zero on one machine."""
        self.statistics: dict[str, Any] = {}
        """Those of its last beat."""

    def end(self) -> str | None:
        """Cut the line, kill the process where it is ours, and wait for it; gives how it ended."""
        self.connection.close()
        if self.pid is None:
            return None
        pid, self.pid = self.pid, None
        os.kill(pid, signal.SIGKILL)
        return _how(os.waitpid(pid, 0)[1])

    def look(self) -> str | None:
        """How the process ended, if it did; its line may break a little before it is over."""
        if self.pid is None:
            return None
        deadline = time.monotonic() + 0.05
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                return None
            time.sleep(0.002)
        self.pid = None
        return _how(status)


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"its process ended with code {code}"
    return f"its process was killed by {signal.Signals(-code).name}"
