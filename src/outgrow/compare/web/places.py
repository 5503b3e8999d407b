"""What can be opened below the roots."""

__all__ = ["found_below", "listing"]

import heapq
import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from outgrow.capture import is_recording
from outgrow.compare.readers.entry import is_readable
from outgrow.compare.readers.entry_names import is_archive_name
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.roots import Roots
from outgrow.names import natural_key, printable

_MOST_ENTRIES = 5000
_MOST_FOUND = 20
# A home folder may hold millions of files, and the page waits.
_LOOK_SECONDS = 1.0
_LOOK_ENTRIES = 50_000
# More files of tensors than this in one folder are one dump.
_MOST_FILES = 4

Kind = Literal["folder", "dump", "recording", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file or folder below a root."""

    path: Path
    """Without links."""
    name: str
    kind: Kind
    nbytes: int
    """0 of a folder."""
    changed: float
    """Seconds since 1970."""

    def as_dict(self) -> dict[str, Any]:
        """What the page is told."""
        return {
            "path": str(self.path), "name": printable(self.name), "kind": self.kind, "bytes": self.nbytes,
            "changed": self.changed,
        }  # fmt: skip


def listing(roots: Roots, text: str) -> dict[str, Any]:
    """What lies in a folder below a root, folders first, in natural order.

    Raises:
        ApiError: it is no such folder.
    """
    folder = roots.find(text)
    entries: list[Place] = []
    left_out = 0
    try:
        for place in _places_in(folder, roots):
            if len(entries) < _MOST_ENTRIES:
                entries.append(place)
            else:
                left_out += 1
    except NotADirectoryError as err:
        raise ApiError(f"{text!r} is no folder", status=400, code="input", hint="open it instead") from err
    except OSError as err:
        raise ApiError(
            f"cannot list {text!r}: {err.strerror}", status=404, code="path", hint="see its permissions"
        ) from err
    entries.sort(key=lambda place: (place.kind != "folder", natural_key(place.name)))
    parent = folder.parent if roots.holds(folder.parent) else None
    return {
        "path": str(folder),
        "parent": None if parent is None else str(parent),
        "entries": [place.as_dict() for place in entries],
        "left_out": left_out,
    }


def found_below(roots: Roots) -> dict[str, Any]:
    """The dumps and recordings below all roots that changed last, as far as a second of looking finds."""
    dumps: list[Place] = []
    recordings: list[Place] = []
    until = time.monotonic() + _LOOK_SECONDS
    looked_at = 0
    folders = deque(roots.folders)
    seen = set(roots.folders)
    while folders and looked_at < _LOOK_ENTRIES and time.monotonic() < until:
        folder = folders.popleft()
        try:
            places = list(_places_in(folder, roots))
        except OSError:
            continue  # what cannot be listed holds nothing that could be opened
        looked_at += len(places)
        files = [place for place in places if place.kind == "dump" and not is_archive_name(place.name)]
        if len(files) > _MOST_FILES:
            changed = max(place.changed for place in files)
            dumps.append(Place(path=folder, name=folder.name, kind="dump", nbytes=0, changed=changed))
        else:
            dumps += files
        dumps += [place for place in places if place.kind == "dump" and is_archive_name(place.name)]
        recordings += [place for place in places if place.kind == "recording"]
        for place in places:
            if place.kind == "folder" and place.path not in seen:
                seen.add(place.path)
                folders.append(place.path)
    return {
        "roots": [printable(str(folder)) for folder in roots.folders],
        "recent": _latest(dumps),
        "recordings": _latest(recordings),
    }


def _latest(places: list[Place]) -> list[dict[str, Any]]:
    return [place.as_dict() for place in heapq.nlargest(_MOST_FOUND, places, key=lambda place: place.changed)]


def _places_in(folder: Path, roots: Roots) -> Iterator[Place]:
    """What is not hidden, what links do not lead out of the roots, and what has a name that can be sent."""
    with os.scandir(folder) as found:
        for item in found:
            if item.name.startswith(".") or not _is_text(item.path):
                continue
            path = Path(item.path)
            try:
                if item.is_symlink():
                    path = path.resolve(strict=True)
                    if not roots.holds(path):
                        continue
                status = path.stat()
                is_folder = path.is_dir()
                kind = _kind(path, is_folder=is_folder)
            except (OSError, RuntimeError, ValueError):
                continue  # it went meanwhile, or leads nowhere
            yield Place(
                path=path,
                name=item.name,
                kind=kind,
                nbytes=0 if is_folder else status.st_size,
                changed=status.st_mtime,
            )


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(path: Path, *, is_folder: bool) -> Kind:
    if is_folder:
        return "recording" if is_recording(path) else "folder"
    if path.is_file() and (is_readable(path.name) or is_archive_name(path.name)):
        return "dump"
    return "other"
