"""From the files of both sides to a comparison."""

__all__ = ["open_comparison"]

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from outgrow.capture.recording import Recording
from outgrow.compare.comparison import Comparison, compare
from outgrow.compare.judge import Rules
from outgrow.compare.readers import open_recording
from outgrow.compare.readers.opening import open_file
from outgrow.compare.web.options import Options
from outgrow.compare.web.side_item import SideItem, SideName
from outgrow.errors import InputError
from outgrow.events import Listener


def open_comparison(
    sides: Mapping[SideName, Sequence[SideItem]],
    *,
    settings: Mapping[str, Any],
    options: Options,
    listener: Listener,
) -> Comparison:
    """Open and pair both sides; nothing is measured yet.

    Raises:
        InputError, StoreError: as `compare`.
    """
    if len(sides["expected"]) > 1:
        raise InputError("the expected side has several files", hint="keep one of them")
    has_rules = settings.get("rtol") is not None or settings.get("atol") is not None
    with contextlib.ExitStack() as opened:
        expected, actual = (
            [opened.enter_context(_open(item, listener)) for item in sides[side]]
            for side in ("expected", "actual")
        )
        comparison = compare(
            expected=expected[0],
            actual=actual,
            name_map=options.name_map,
            rules=Rules(rtol=settings.get("rtol") or 0.0, atol=settings.get("atol") or 0.0)
            if has_rules
            else None,
            is_exact=bool(settings.get("exact")),
            listener=listener,
        )
        opened.pop_all()
    return comparison


def _open(item: SideItem, listener: Listener) -> Recording:
    if item.source == "upload":
        return open_file(item.path, name=item.name, listener=listener)
    return open_recording(item.path, listener=listener)
