"""Several files that came together without a folder or an archive around them."""

__all__ = ["LooseFile", "are_parts", "read_loose"]

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from outgrow.compare.readers.entry import read_entry
from outgrow.compare.readers.file_reader import FileContent
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.records import SHARD
from outgrow.events import Listener, Progress, ignore

_RANK = re.compile(r"(?:rank|worker|node|tp|pp|dp|cp|ep|sp)[-_.]?[0-9]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseFile:
    """Where a file lies, and what people call it."""

    path: Path
    name: str
    """With the folders that it lay in, if anybody knows; its suffix says who reads it."""
    is_link: bool = False
    """Whether `path` is one of `/proc/self/fd`, whose file nobody can put another one in the place of."""


def read_loose(
    files: Sequence[LooseFile], limits: Limits, *, listener: Listener = ignore
) -> list[tuple[str, FileContent]]:
    """The content of each by its name; what cannot be read is refused in it. `listener` receives `Progress`
    of the task `opening`."""
    sizes = [_size(file.path) for file in files]
    done, total = 0, sum(sizes)
    contents = []
    for file, size in zip(files, sizes, strict=True):
        listener(Progress(task="opening", done=done, total=total, item=file.name))
        done += size
        region = (0, size) if file.is_link else None
        contents.append((file.name, read_entry(file.path, file.name, limits, region)))
    return contents


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # the reader will say what is the matter


def are_parts(contents: Sequence[tuple[str, FileContent]]) -> bool:
    """Whether files look like parts of one dump and not like a file for each rank.

    They do where each is a tensor without a name of its own, where they are the numbered files of one
    checkpoint, and where no name occurs in two of them. Files that are called alike but for the number of a
    rank are ranks whatever is in them.
    """
    stems = [str(PurePosixPath(name).with_suffix("")) for name, _ in contents]
    unnumbered = {_RANK.sub("", stem) for stem in stems}
    if len(unnumbered) == 1 and unnumbered != set(stems):
        return False
    if all(SHARD.search(stem) for stem in stems):
        return True
    inner = [{found.inner for found in content.records} for _, content in contents]
    if all(names <= {""} for names in inner):
        return True
    return sum(map(len, inner)) == len(set().union(*inner))
