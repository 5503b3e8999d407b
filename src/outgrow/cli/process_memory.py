"""How much memory this process has."""

__all__ = ["ProcessMemory", "process_memory"]

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMemory:
    """Memory of this process at one moment."""

    anonymous_bytes: int
    """What no file stands behind (RssAnon): it cannot be had back without swapping."""
    file_bytes: int
    """Pages of files that are mapped and in memory (RssFile)."""

    @property
    def nbytes(self) -> int:
        """Both together."""
        return self.anonymous_bytes + self.file_bytes


def process_memory(status: Path = Path("/proc/self/status")) -> ProcessMemory | None:
    """The memory of this process now; None where the system does not say."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return None
    found = {line.split()[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss")}
    if "RssAnon:" not in found or "RssFile:" not in found:
        return None
    return ProcessMemory(anonymous_bytes=found["RssAnon:"], file_bytes=found["RssFile:"])
