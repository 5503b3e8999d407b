"""Append-only lines of JSON that a crash can only shorten: recordings and logs.

The first line names the format and its version. Lines go out whole and in order; whoever reads takes a last
line without its end for one that was being written when the process died.
"""

__all__ = ["Journal", "JournalContent", "read_journal"]

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from outgrow.errors import InputError, StoreError, hint_for
from outgrow.store.header import StoreCorrupt
from outgrow.store.writer import sync_directory

_LIMIT_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalContent:
    """What a journal held when it was read."""

    header: Mapping[str, Any]
    """The first line."""
    entries: tuple[Mapping[str, Any], ...]
    """The lines after it, in order."""
    problems: tuple[str, ...]
    """What could not be understood, a sentence each; empty where the journal is whole."""


class Journal:
    """A journal that is being written. Not to be used by two threads at once."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """Make the file, for its owner alone (0600), with `header` as its first line.

        Raises:
            InputError: the file is there already.
            StoreError: it cannot be made or written.
        """
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except FileExistsError as err:
            raise InputError(
                f"{str(path)!r} is there already, and nothing is written over it",
                hint="choose another directory, or remove what is there",
            ) from err
        except OSError as err:
            raise StoreError(
                f"cannot write {str(path)!r}: {err.strerror or err}", hint=hint_for(err)
            ) from err
        self._length = 0
        try:
            self.append([header])
            sync_directory(path.parent)
        except BaseException:
            self.close()
            path.unlink(missing_ok=True)
            raise

    def append(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Write some lines, all or none of them.

        Raises:
            StoreError: they cannot be written; the journal is as it was before.
        """
        text = "".join(_encode(entry) for entry in entries).encode()
        left = memoryview(text)
        try:
            while left.nbytes:
                left = left[os.write(self._descriptor, left) :]
        except OSError as err:
            os.ftruncate(self._descriptor, self._length)
            raise StoreError(
                f"cannot write {str(self.path)!r}: {err.strerror or err}",
                hint="free some space or choose another directory",
            ) from err
        self._length += len(text)

    def sync(self) -> None:
        """Have the lines survive a power cut.

        Raises:
            StoreError: the disk refuses.
        """
        try:
            os.fsync(self._descriptor)
        except OSError as err:
            raise StoreError(
                f"cannot write {str(self.path)!r}: {err.strerror or err}", hint=hint_for(err)
            ) from err

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def read_journal(path: Path, *, kind: str, version: int) -> JournalContent:
    """Read a journal whose header has `kind` as `format` and at most `version` as `version`.

    A torn last line and lines that make no sense are left out and named in `problems`.

    Raises:
        InputError: there is no such file, it is another kind of file, or of a later version.
        StoreCorrupt: there is not even a whole first line.
        StoreError: it cannot be read.
    """
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise StoreCorrupt(
                f"{str(path)!r} has {path.stat().st_size:,} bytes, more than any journal",
                hint="it is damaged, or no journal: take it from a copy",
            )
        raw = path.read_bytes()
    except FileNotFoundError as err:
        raise InputError(
            f"no such file: {str(path)!r}",
            hint="look at the spelling; a journal that was there a moment ago was moved or removed",
        ) from err
    except OSError as err:
        raise StoreError(f"cannot read {str(path)!r}: {err.strerror or err}", hint=hint_for(err)) from err
    lines = raw.split(b"\n")
    torn = lines.pop()  # what follows the last line's end: nothing, where the journal is whole
    if not lines:
        raise StoreCorrupt(
            f"{str(path)!r} has no whole first line", hint="it was cut off as it began: nothing is lost"
        )
    header = _decode(lines[0])
    if header is None or header.get("format") != kind:
        raise InputError(
            f"{str(path)!r} is not an index of the format {kind!r}",
            hint="give the directory, or the index in it, that outgrow wrote",
        )
    found = header.get("version")
    if type(found) is not int or found < 1:
        raise StoreCorrupt(
            f"{str(path)!r} has no version", hint="it is damaged, or no journal: take it from a copy"
        )
    if found > version:
        raise InputError(
            f"{str(path)!r} is of version {found} of {kind!r}; this outgrow knows up to {version}",
            hint="update outgrow",
        )
    entries, problems = [], []
    for number, line in enumerate(lines[1:], start=2):
        entry = _decode(line)
        if entry is None:
            problems.append(f"line {number} cannot be understood")
        else:
            entries.append(entry)
    if torn:
        problems.append(f"line {len(lines) + 1} was cut off in the middle")
    return JournalContent(header=header, entries=tuple(entries), problems=tuple(problems))


def _encode(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"


def _decode(line: bytes) -> Mapping[str, Any] | None:
    try:
        entry = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
