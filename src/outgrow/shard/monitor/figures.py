"""From two looks at the workers to what each did between them. Pure."""

__all__ = ["WorkerFigures", "worker_figures"]

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFigures:
    """One worker. What is per second is None until there are two looks at the same process."""

    worker: int
    pid: int | None
    """None while it has not said anything."""
    host: str | None
    is_ready: bool
    """It takes messages."""
    busy: float | None
    """Share of the time that it ran messages, 0 to 1."""
    memory_bytes: int | None
    """Of its process."""
    instructions_per_second: float | None
    queue: int
    """Messages given to it and not done yet."""
    exchanged_bytes_per_second: float | None
    """With other workers."""
    client_bytes_per_second: float | None
    """With the program, in both directions."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def worker_figures(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[WorkerFigures]:
    """What each worker did between two answers to `monitor`; `before` is None at the first look."""
    earlier = {} if before is None else {rank["rank"]: rank for rank in before["ranks"]}
    return [
        _figures(earlier.get(rank["rank"]), rank)
        for rank in sorted(after["ranks"], key=lambda rank: int(rank["rank"]))
    ]


def _figures(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> WorkerFigures:
    def rate(*names: str) -> float | None:
        # A worker that was started anew counts from zero again.
        if before is None or before.get("pid") != after.get("pid") or "seconds" not in before:
            return None
        seconds = after["seconds"] - before["seconds"]
        grown = sum(after[name] - before[name] for name in names)
        return max(0.0, grown / seconds) if seconds > 0 else None

    busy = rate("busy_seconds")
    return WorkerFigures(
        worker=int(after["rank"]),
        pid=after.get("pid"),
        host=after.get("host"),
        is_ready=bool(after["is_ready"]),
        busy=None if busy is None else min(1.0, busy),
        memory_bytes=after.get("memory_bytes"),
        instructions_per_second=rate("instructions"),
        queue=int(after["queue"]),
        exchanged_bytes_per_second=rate("exchanged_bytes"),
        client_bytes_per_second=rate("sent_bytes", "received_bytes"),
    )
