"""What the tests of this folder look at: processes by what they hold."""

import time
from pathlib import Path


def children(pid):
    """Processes below this one, at any depth."""
    found, parents = [], {pid}
    table = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            table[int(entry.name)] = int(fields[1])
    while parents:
        parents = {child for child, parent in table.items() if parent in parents}
        found += parents
    return found


def is_alive(pid):
    """Whether it runs: neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=10.0):
    """Wait for something that takes a while."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def open_files():
    """Descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
