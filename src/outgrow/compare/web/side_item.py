"""One file or folder that a side of the comparison is made of."""

__all__ = ["SIDES", "SideItem", "SideName"]

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

SideName = Literal["expected", "actual"]
SIDES: tuple[SideName, SideName] = ("expected", "actual")


@dataclass(frozen=True, slots=True, kw_only=True)
class SideItem:
    """Where it lies, and what people call it."""

    id: str
    name: str
    nbytes: int
    source: Literal["upload", "path"]
    path: Path
    """Of an upload below `/proc/self/fd`, good as long as it is not closed."""
    close: Callable[[], None] = lambda: None
    """Removes an upload; may be called twice."""

    def as_dict(self) -> dict[str, Any]:
        """What the page is told."""
        return {"id": self.id, "name": self.name, "bytes": self.nbytes, "source": self.source}
