"""What is examined and how deep: plain values, cheap to import."""

__all__ = ["EVERY", "SOME", "Entry", "Options"]

from typing import NamedTuple

EVERY = 2
"""The world size at which every entry is examined."""
SOME = (1, 3, 8)
"""Those at which a fifth is, chosen by a hash of the name."""


class Entry(NamedTuple):
    """One entry of a database at one world size."""

    database: str
    """`op`, `module` or `optimizer`."""
    name: str
    world_size: int

    def __str__(self) -> str:
        return f"{self.database}:{self.name}@{self.world_size}"


class Options(NamedTuple):
    """How deep to look."""

    seed: int = 0
    samples: int = 3
    """Of each entry in float64; of other dtypes one."""
    variants: int = 8
    """Placements and ways to choose rows, of each sample."""
    timeout_seconds: float = 20.0
    engine: str = "simulated"
    """Where ranks run: `simulated` in the process that examines, or `local` as processes of their own."""
    case: str | None = None
    """Only the case of this name."""
