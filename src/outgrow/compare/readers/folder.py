"""A folder of files of tensors, walked without following anything out of it."""

__all__ = ["read_folder"]

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from outgrow.capture.recording import Refusal
from outgrow.compare.readers.advice import raise_limit
from outgrow.compare.readers.entry import is_readable, read_entry
from outgrow.compare.readers.file_reader import FileContent
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.plain_file import PlainFile
from outgrow.errors import InputError, OutgrowError, StoreError, hint_for
from outgrow.names import natural_key
from outgrow.store.checkpoint import read_index

_INDEX = ".index.json"
_PARTS = 10_000
_KINDS = {
    stat.S_IFLNK: "is a link, which is not followed: give what it leads to",
    stat.S_IFIFO: "is a pipe (FIFO)",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}


def read_folder(root: Path, limits: Limits) -> tuple[list[tuple[str, FileContent]], list[Refusal]]:
    """The content of each file below `root` by its path below it, in natural order, and what is refused.

    Links, pipes, sockets and devices are refused without being opened; hidden files and folders are passed
    over. Where the index of a checkpoint of several files is there, it says which tensors these must have.

    Raises:
        InputError: there are more files than `limits` allow.
        StoreError: the folder cannot be read.
    """
    contents: list[tuple[str, FileContent]] = []
    refused: list[Refusal] = []
    indexes: list[str] = []
    for entry, problem in _walk(root, limits):
        if problem is not None:
            refused.append(Refusal(entry=entry, reason=problem))
        elif entry.endswith(_INDEX):
            indexes.append(entry)
        else:
            content = read_entry(root / entry, entry, limits)
            if is_readable(entry):
                contents.append((entry, content))
            else:
                refused.extend(content.refused)
    for index in indexes:
        contents, missing = _by_index(root, index, contents, limits)
        refused += missing
    return contents, refused


def _walk(root: Path, limits: Limits) -> Iterator[tuple[str, str | None]]:
    """Each file below the root, and why it is refused or None."""
    folders = [""]
    count = 0
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as found:
                items = sorted(found, key=lambda item: natural_key(item.name))
        except OSError as err:
            if not folder:
                raise StoreError(
                    f"cannot read the folder {str(root)!r}: {err.strerror or err}", hint=hint_for(err)
                ) from err
            yield folder, f"cannot be listed: {err.strerror or err}"
            continue
        below = []
        for item in items:
            count += 1
            if count > limits.max_entries:
                raise InputError(
                    f"{str(root)!r} holds more than {limits.max_entries:,} files, the limit max_entries",
                    hint="give a folder below it",
                )
            entry = f"{folder}/{item.name}" if folder else item.name
            if item.name.startswith("."):
                continue
            try:
                mode = item.stat(follow_symlinks=False).st_mode
            except OSError as err:
                yield entry, f"cannot be looked at: {err.strerror or err}"
                continue
            if stat.S_ISREG(mode):
                yield entry, None
            elif not stat.S_ISDIR(mode):
                yield entry, _KINDS.get(stat.S_IFMT(mode), "is not a regular file")
            elif entry.count("/") >= limits.max_depth:
                yield entry, f"lies deeper than the limit max_depth, {limits.max_depth}"
            else:
                below.append(entry)
        folders.extend(reversed(below))


def _check_index(path: Path, limits: Limits) -> None:
    """See that an index has no more parts than its tensors need, before Python makes a list of each."""
    file = PlainFile.of(path)
    if file.length > limits.max_header_bytes:
        raise InputError(
            f"has {file.length:,} bytes; the limit max_header_bytes is {limits.max_header_bytes:,}",
            hint=raise_limit("max_header_bytes"),
        )
    parts = file.read(0, file.length).count(b",")
    if parts > _PARTS + 2 * limits.max_entries:
        raise InputError(
            f"has {parts:,} parts, more than {limits.max_entries:,} tensors need (the limit max_entries)",
            hint=raise_limit("max_entries"),
        )


def _by_index(
    root: Path, index: str, contents: list[tuple[str, FileContent]], limits: Limits
) -> tuple[list[tuple[str, FileContent]], list[Refusal]]:
    """The contents less the tensors that the index puts elsewhere, and what it names that is not there."""
    try:
        _check_index(root / index, limits)
        places, _ = read_index(root / index)
    except OutgrowError as err:
        return contents, [Refusal(entry=index, reason=err.message, hint=err.hint)]
    folder = PurePosixPath(index).parent
    wanted = {name: str(folder / file) for name, file in places.items()}
    files = set(wanted.values())
    kept: list[tuple[str, FileContent]] = []
    found: set[str] = set()
    for entry, content in contents:
        if entry not in files:
            kept.append((entry, content))
            continue
        records = tuple(part for part in content.records if wanted.get(part.inner) == entry)
        found.update(part.inner for part in records)
        kept.append((entry, FileContent(records=records, refused=content.refused)))
    missing = [
        Refusal(entry=f"{index}/{name}", reason=f"should be in {file!r}, and is not")
        for name, file in wanted.items()
        if name not in found
    ]
    return kept, missing
