"""One file or folder that a side of the comparison is made of."""

__all__ = ["KINDS", "SIDES", "SideItem", "SideKind", "SideName"]

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from outgrow.compare.web.upload import Upload

SideName = Literal["expected", "actual"]
SIDES: tuple[SideName, ...] = ("expected", "actual")
SideKind = Literal["auto", "ranks", "parts"]
KINDS: tuple[SideKind, ...] = ("auto", "ranks", "parts")
"""What several files of a side are: each a rank's, together one dump, or whatever they look like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideItem:
    """Where it lies, and what people call it."""

    id: str
    name: str
    """Of an upload what the browser called it, folders included; never a path of this machine."""
    nbytes: int
    path: Path
    """Of an upload below `/proc/self/fd`, good as long as it is held."""
    upload: Upload | None = None
    """None for what lies on this machine anyway."""

    def close(self) -> None:
        """Remove an upload, unless a comparison holds it."""
        if self.upload is not None:
            self.upload.close()

    def as_dict(self) -> dict[str, Any]:
        """What the page is told."""
        source = "path" if self.upload is None else "upload"
        return {"id": self.id, "name": self.name, "bytes": self.nbytes, "source": source}
