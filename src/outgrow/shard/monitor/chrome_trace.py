"""Events as the JSON that Perfetto and Chrome's tracing page open. Pure."""

__all__ = ["chrome_trace"]

from collections.abc import Sequence
from typing import Any

from outgrow.shard.monitor.activity import Stretch, stretches_of, waits_of

_PROCESS = 1


def chrome_trace(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One track for each worker and one for what waits at the dispatcher; times in microseconds.

    Source: "Trace Event Format", the Chromium project: complete (`X`), async (`b`, `e`), metadata (`M`).
    """
    world_size = next((event["world_size"] for event in events if event["event"] == "start"), 0)
    names = [(0, "dispatcher"), *((rank + 1, f"worker {rank}") for rank in range(world_size))]
    shown = [
        {"name": "process_name", "ph": "M", "pid": _PROCESS, "tid": 0, "args": {"name": "outgrow.shard"}}
    ]
    for track, name in names:
        about: dict[str, Any] = {"ph": "M", "pid": _PROCESS, "tid": track}
        shown.append({**about, "name": "thread_name", "args": {"name": name}})
        shown.append({**about, "name": "thread_sort_index", "args": {"sort_index": track}})
    shown += [_complete(stretch) for stretch in stretches_of(events)]
    # Messages wait side by side: each is a pair of its own, else one would seem to be within another.
    for wait in waits_of(events):
        shown += _pair(wait)
    shown += [_instant(event) for event in events if event["event"] in ("session", "ranks")]
    return {"displayTimeUnit": "ms", "traceEvents": shown}


def _complete(stretch: Stretch) -> dict[str, Any]:
    return {
        "name": stretch.title,
        "cat": stretch.kind,
        "ph": "X",
        "ts": _microseconds(stretch.started),
        "dur": _microseconds(stretch.ended - stretch.started),
        "pid": _PROCESS,
        "tid": stretch.worker + 1,
        "args": _arguments(stretch),
    }


def _pair(stretch: Stretch) -> list[dict[str, Any]]:
    both = {"name": stretch.title, "cat": "waiting", "id": stretch.sequence, "pid": _PROCESS, "tid": 0}
    return [
        {**both, "ph": "b", "ts": _microseconds(stretch.started), "args": _arguments(stretch)},
        {**both, "ph": "e", "ts": _microseconds(stretch.ended)},
    ]


def _instant(event: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in event.items() if name not in ("event", "time")}
    return {
        "name": event["event"],
        "ph": "i",
        "s": "g",
        "ts": _microseconds(event["time"]),
        "pid": _PROCESS,
        "tid": 0,
        "args": told,
    }


def _arguments(stretch: Stretch) -> dict[str, Any]:
    return {
        "sequence": stretch.sequence,
        "session": stretch.session,
        "instructions": stretch.instructions,
        "bytes": stretch.nbytes,
    }


def _microseconds(seconds: float) -> float:
    return round(seconds * 1e6, 1)
