"""From the files of both sides to a comparison."""

__all__ = ["open_comparison"]

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from outgrow.capture.recording import Recording
from outgrow.compare.comparison import Comparison, compare
from outgrow.compare.judge import Rules
from outgrow.compare.names import NameMap
from outgrow.compare.readers.entry import is_readable
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.loose_files import LooseFile, are_parts, read_loose
from outgrow.compare.readers.opening import as_one_dump, open_file, open_recording
from outgrow.compare.web.options import Options
from outgrow.compare.web.roots import Roots
from outgrow.compare.web.side import Side
from outgrow.compare.web.side_item import SideItem, SideName
from outgrow.errors import InputError
from outgrow.events import Listener
from outgrow.names import natural_key


def open_comparison(
    sides: Mapping[SideName, Side],
    *,
    settings: Mapping[str, Any],
    options: Options,
    roots: Roots,
    name_map: NameMap | None,
    listener: Listener,
) -> Comparison:
    """Open and pair both sides; nothing is measured yet. The comparison holds the uploads that it needs.

    Raises:
        InputError, StoreError: as `compare`.
    """
    limits = options.limits or Limits()
    has_rules = settings.get("rtol") is not None or settings.get("atol") is not None
    with contextlib.ExitStack() as opened:
        expected = _open_side(sides["expected"], options, roots, limits, listener, opened)
        actual = _open_side(sides["actual"], options, roots, limits, listener, opened)
        if len(expected) > 1:
            raise InputError(
                f"the expected side has {len(expected)} ranks, and only one can be compared with",
                hint="say that its files are parts of one dump, keep one of them, or swap the sides",
            )
        comparison = compare(
            expected=expected[0],
            actual=actual,
            only=settings.get("only") or "*",
            name_map=name_map,
            rules=Rules(rtol=settings.get("rtol") or 0.0, atol=settings.get("atol") or 0.0)
            if has_rules
            else None,
            is_exact=bool(settings.get("exact")),
            listener=listener,
        )
        opened.pop_all()
    return comparison


def _open_side(
    side: Side,
    options: Options,
    roots: Roots,
    limits: Limits,
    listener: Listener,
    opened: contextlib.ExitStack,
) -> list[Recording]:
    items = side.items
    if len(items) > 1 and side.kind != "ranks":
        parts = _parts(items, options, roots, limits, listener, must=side.kind == "parts")
        if parts is not None:
            return [opened.enter_context(parts)]
    if side.kind == "auto":
        items = tuple(sorted(items, key=lambda item: natural_key(item.name)))
    return [opened.enter_context(_open(item, options, roots, limits, listener)) for item in items]


def _open(item: SideItem, options: Options, roots: Roots, limits: Limits, listener: Listener) -> Recording:
    if item.upload is None:
        return open_recording(_located(item, options, roots), limits=limits, listener=listener)
    with contextlib.ExitStack() as held:
        upload = item.upload.hold()
        held.callback(upload.close)
        recording = open_file(upload.path, name=item.name, limits=limits, listener=listener)
        kept = held.pop_all()
    return _holding(recording, kept)


def _located(item: SideItem, options: Options, roots: Roots) -> Path:
    """Where it lies, links looked through once more: what was a folder may be a link by now."""
    if item.upload is not None or item.path in (options.expected, *options.actual):
        return item.path
    return roots.find(str(item.path))


def _parts(
    items: Sequence[SideItem],
    options: Options,
    roots: Roots,
    limits: Limits,
    listener: Listener,
    *,
    must: bool,
) -> Recording | None:
    """All items as one dump; None where they do not look like parts of one and need not be."""
    strange = [item.name for item in items if not is_readable(item.name) or item.path.is_dir()]
    if strange:
        if must:
            raise InputError(
                f"{strange[0]!r} is no single file of tensors, and cannot be a part of a dump",
                hint="say that the files are ranks, or pack all of them into one archive",
            )
        return None
    with contextlib.ExitStack() as held:
        for item in items:
            if item.upload is not None:
                held.callback(item.upload.hold().close)
        files = [
            LooseFile(path=_located(item, options, roots), name=item.name, is_link=item.upload is not None)
            for item in items
        ]
        contents = read_loose(files, limits, listener=listener)
        if not must and not are_parts(contents):
            return None
        recording = as_one_dump(contents)
        kept = held.pop_all()
    return _holding(recording, kept)


def _holding(recording: Recording, held: contextlib.ExitStack) -> Recording:
    """The same, with what is to be given back after it is closed."""

    def close() -> None:
        with held:
            recording.close()

    return Recording(
        label=recording.label,
        records=recording.records,
        refused=recording.refused,
        is_ordered=recording.is_ordered,
        close=close,
    )
