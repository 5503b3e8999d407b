"""Reading the log that `GT_INSTRUCTION_LOG` names; what it holds is said in `dispatch/instruction_log.py`."""

__all__ = ["read_log"]

import json
from pathlib import Path
from typing import Any

from outgrow.errors import InputError
from outgrow.shard.dispatch.instruction_log import VERSION


def read_log(path: Path) -> list[dict[str, Any]]:
    """The events of a log, the start first. A last line that is still being written is left out.

    Raises:
        InputError: no such file, or it is no instruction log, or one of another version.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as err:
        reason = err.strerror if isinstance(err, OSError) else "it is no text"
        raise InputError(
            f"the instruction log {str(path)!r} cannot be read: {reason}",
            hint="GT_INSTRUCTION_LOG=FILE in front of a program writes one",
        ) from err
    lines.pop()
    events = [_event(path, number, line) for number, line in enumerate(lines, start=1)]
    if not events or events[0]["event"] != "start" or not isinstance(events[0].get("world_size"), int):
        raise _wrong(path, 1, "it does not begin as one")
    if events[0].get("version") != VERSION:
        raise InputError(
            f"{str(path)!r} is a log of version {events[0].get('version')!r}, expected {VERSION}",
            hint="look at it with the version of outgrow that wrote it",
        )
    return events


def _event(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError as err:
        raise _wrong(path, number, "no JSON") from err
    is_one = isinstance(event, dict) and isinstance(event.get("event"), str)
    if not is_one or not isinstance(event.get("time"), int | float):
        raise _wrong(path, number, "no event with a time")
    if event["event"] == "message":
        times = [event.get("received"), event.get("forwarded")]
        ranks = event.get("ranks")
        if not isinstance(ranks, list) or not all(isinstance(one, int | float) for one in times):
            raise _wrong(path, number, "a message without times")
    found: dict[str, Any] = event
    return found


def _wrong(path: Path, number: int, what: str) -> InputError:
    return InputError(
        f"{str(path)!r}, line {number}: {what}, so this is no instruction log",
        hint="GT_INSTRUCTION_LOG=FILE in front of a program writes one",
    )
