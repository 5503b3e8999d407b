"""How far comparing has come."""

__all__ = ["Progressed", "State"]

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["empty", "opening", "comparing", "ready", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """How far a job is; `Status` of the API."""

    state: State = "empty"
    revision: int = 0
    """Grows with every change; of a comparison that is ready, also its name."""
    done: int = 0
    total: int = 0
    """Bytes; 0 where nobody knows."""
    item: str | None = None
    message: str | None = None
    """Why it failed."""
    hint: str | None = None
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """What the page is told."""
        error = None if self.message is None else {"message": self.message, "hint": self.hint}
        return {
            "state": self.state, "revision": self.revision, "done": self.done, "total": self.total,
            "item": self.item, "error": error, "seconds": self.seconds,
        }  # fmt: skip
