"""Events of an instruction log as stretches of time on each worker. Pure."""

__all__ = ["Stretch", "stretches_of", "waits_of"]

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Stretch(NamedTuple):
    """One message, on one worker or waiting at the dispatcher."""

    worker: int
    """-1 for the dispatcher."""
    started: float
    """Seconds since the log began."""
    ended: float
    kind: str
    """`CALL`, `PUT`, `FETCH` ..."""
    segment: int | None
    """Of a call."""
    session: int
    sequence: int
    instructions: int
    nbytes: int

    @property
    def title(self) -> str:
        """What a reader would call it."""
        if self.kind == "CALL":
            return f"segment {self.segment} ({self.instructions} instructions)"
        return self.kind.lower()


def stretches_of(events: Iterable[Mapping[str, Any]]) -> list[Stretch]:
    """What each worker did, in order of time; messages that a worker gave no times for are left out."""
    found = []
    for event in events:
        if event["event"] != "message":
            continue
        for worker, times in enumerate(event["ranks"]):
            if times is not None and None not in times:
                found.append(_stretch(event, worker, *times))
    return sorted(found, key=lambda one: (one.started, one.worker))


def waits_of(events: Iterable[Mapping[str, Any]]) -> list[Stretch]:
    """How long each message waited at the dispatcher before the workers were given it."""
    return [
        _stretch(event, -1, event["received"], event["forwarded"])
        for event in events
        if event["event"] == "message"
    ]


def _stretch(event: Mapping[str, Any], worker: int, started: float, ended: float) -> Stretch:
    return Stretch(
        worker=worker,
        started=started,
        ended=max(started, ended),
        kind=event["kind"],
        segment=event.get("segment"),
        session=event.get("session") or 0,
        sequence=event.get("sequence") or 0,
        instructions=event.get("instructions") or 0,
        nbytes=event.get("bytes") or 0,
    )
