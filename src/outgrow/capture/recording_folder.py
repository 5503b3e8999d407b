"""What a recording looks like on disk: the names of its files, its version, and whose it is.

A run of one process has `index.jsonl` and `tensors-00000.safetensors`, `-00001`, ...; of several ranks that
share a folder each has `index-00003.jsonl` and `tensors-00003-00000.safetensors`, ...
"""

__all__ = ["FORMAT", "VERSION", "RunPlace", "find_indexes", "is_recording", "run_place"]

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from outgrow.errors import InputError

FORMAT = "outgrow.recording"
"""What the first line of an index gives as its format."""
VERSION = 1
"""It goes up when something changes its meaning or goes away."""

_INDEX = re.compile(r"index(-\d{5})?\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlace:
    """Which process of a run this is."""

    rank: int = 0
    """Its number, from 0."""
    world_size: int = 1
    """How many there are."""
    run: str = ""
    """What the ranks of one run have in common and other runs do not; empty where nobody says."""
    mesh: Mapping[str, int] = field(default_factory=dict)
    """Coordinates of the rank by axis, where known."""

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size or self.world_size > 100_000:
            raise InputError(
                f"there is no rank {self.rank} in a run of {self.world_size} processes",
                hint="ranks count from 0 and stay below the number of processes, at most 100,000",
            )

    @property
    def suffix(self) -> str:
        """What tells this rank's files from the others'."""
        return f"-{self.rank:05d}" if self.world_size > 1 else ""

    @property
    def index_name(self) -> str:
        """Name of the index."""
        return f"index{self.suffix}.jsonl"


def run_place(
    rank: int | None = None, world_size: int | None = None, mesh: Mapping[str, int] | None = None
) -> RunPlace:
    """Which rank this process is: as given, else by `RANK` and `WORLD_SIZE`, as torchrun sets them.

    Raises:
        InputError: there can be no such rank.
    """
    environment = os.environ
    try:
        if rank is None:
            rank = int(environment.get("RANK", "0"))
            world_size = int(environment.get("WORLD_SIZE", "1")) if world_size is None else world_size
    except ValueError as err:
        raise InputError(
            f"RANK or WORLD_SIZE is not a number: {err}",
            hint="torchrun sets both; unset them where one process runs alone",
        ) from err
    if world_size is None:
        world_size = max(int(environment.get("WORLD_SIZE", "1")), rank + 1)
    if world_size == 1:
        return RunPlace(rank=rank, mesh=dict(mesh or {}))
    parts = ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT")
    run = ":".join(environment[part] for part in parts if part in environment)
    return RunPlace(rank=rank, world_size=world_size, run=run, mesh=dict(mesh or {}))


def is_recording(path: Path | str) -> bool:
    """Whether `path` is the folder of a recording, or an index of one."""
    path = Path(path)
    if path.is_dir():
        return bool(find_indexes(path))
    return path.is_file() and _INDEX.fullmatch(path.name) is not None and _has_format(path)


def find_indexes(folder: Path) -> tuple[Path, ...]:
    """The indexes in a folder, by rank."""
    found = (path for path in folder.glob("index*.jsonl") if _INDEX.fullmatch(path.name) and path.is_file())
    return tuple(sorted(path for path in found if _has_format(path)))


def _has_format(path: Path) -> bool:
    """Whether the file begins as an index does, as far as it was written."""
    with path.open("rb") as file:
        first = file.readline(4096)
    start = f'{{"format":"{FORMAT}"'.encode()
    return first.startswith(start) or start.startswith(first)
