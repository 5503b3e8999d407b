"""Whether the processes of a gang run, as the page and the kernel tell."""

__all__ = ["SignsOfLife", "oom_kills"]

import math
import os
from collections.abc import Sequence
from pathlib import Path

from outgrow.shard.recovery.events import Gone, Sign
from outgrow.shard.recovery.pulse import PulseBoard

_STOPPED = frozenset("Tt")


class SignsOfLife:
    """Looks at one gang, some ten times a second."""

    def __init__(
        self, gang: int, board: PulseBoard, pids: Sequence[int], *, doubtful_seconds: float = 0.4
    ) -> None:
        """`doubtful_seconds`: after so long without a beat the kernel is asked about the process."""
        self._gang = gang
        self._board = board
        self._pids = tuple(pids)
        self._doubtful = doubtful_seconds
        self._beats = [0] * len(self._pids)
        self._beaten = [math.inf] * len(self._pids)
        self._cpu = [-1.0] * len(self._pids)

    def look(self, at: float) -> list[Sign | Gone]:
        """Signs since the last look, at the time `at` in seconds."""
        found: list[Sign | Gone] = []
        for rank, pid in enumerate(self._pids):
            reading = self._board.read(rank)
            self._beaten[rank] = min(self._beaten[rank], at)
            if reading.beats != self._beats[rank]:
                self._beats[rank], self._beaten[rank] = reading.beats, at
                lives = True
            elif at - self._beaten[rank] > self._doubtful:
                # A long call that holds Python's lock (copying a gigabyte) silences the counter, not the
                # process.
                state, cpu = _state(pid)
                works = state == "R" or cpu > self._cpu[rank] >= 0
                lives = reading.beats > 0 and works and state not in _STOPPED
                self._cpu[rank] = cpu
                if state in _STOPPED:
                    how = "was stopped by a signal"
                    found.append(Gone(gang=self._gang, rank=rank, how=how, is_own_doing=False))
                    continue
            else:
                lives = False
            if lives:
                found.append(
                    Sign(gang=self._gang, rank=rank, started=reading.started, finished=reading.finished)
                )
        return found


def oom_kills() -> int:
    """How many processes of this machine the kernel has killed because memory ran out, in all its control
    groups."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    except OSError:
        pass
    return 0


def _state(pid: int) -> tuple[str, float]:
    """The kernel's letter for what a process does, and the CPU seconds it has used; `X` where it is gone, `R`
    where any of its threads only waits for a processor.

    Source: proc_pid_stat(5), fields 3, 14 and 15.
    """
    try:
        fields = _fields(Path(f"/proc/{pid}/stat"))
        ticks = int(fields[11]) + int(fields[12])
        threads = Path(f"/proc/{pid}/task").iterdir()
        waits = any(_fields(thread / "stat")[0] == "R" for thread in threads)
    except OSError:
        return "X", 0.0
    return "R" if waits else fields[0], ticks / os.sysconf("SC_CLK_TCK")


def _fields(path: Path) -> list[str]:
    # The second field is a name in parentheses that may hold anything.
    return path.read_text().rpartition(")")[2].split()
