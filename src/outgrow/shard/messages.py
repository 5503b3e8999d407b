"""What goes between a client, the dispatcher and the workers: plain values, never pickled."""

__all__ = [
    "Ask",
    "Call",
    "Define",
    "Fetch",
    "Message",
    "Place",
    "Put",
    "Reply",
]

from dataclasses import dataclass, field
from typing import Any

from outgrow.placement import Placement
from outgrow.shard.instructions import Segment, TensorMeta

Bytes = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """The contents of a new value."""

    value: int
    meta: TensorMeta
    """Its stride is ignored: the bytes are dense and row-major."""
    data: Bytes
    placement: Placement | None = None
    """How the workers shall hold it; None leaves it to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Define:
    """A segment that calls may name from now on."""

    segment: int
    body: Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Run a segment."""

    segment: int
    inputs: tuple[int, ...]
    """Values, in the order of the segment's inputs."""
    live: tuple[int, ...]
    """Local numbers of the values that are needed after it, rising."""
    outputs: tuple[int, ...]
    """Numbers of the values that `live` become."""
    freed: tuple[int, ...] = ()
    """Values that nobody needs once it has run: some may be inputs, some of other segments."""
    floats: tuple[float, ...] = ()
    """For all steps, in order."""
    ends_step: bool = False
    """An optimizer has just stepped."""
    number: int = 0
    """How many calls this client has sent before; names the call in errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Hold a value so from now on."""

    value: int
    placement: Placement
    is_pinned: bool = False
    """The planner may not change it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Send the contents of a value: dense, row-major."""

    request: int
    value: int
    rank: int | None = None
    """None for the whole; else what this rank holds of it, unreduced and as it is placed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question about the state of the workers: `describe`, `explain`, `statistics`, `barrier`."""

    request: int
    topic: str
    details: dict[str, Any] = field(default_factory=dict)
    """Plain JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a `Fetch` or `Ask`."""

    request: int
    body: dict[str, Any] = field(default_factory=dict)
    """Plain JSON. A fetched value: `shape`, `dtype`. A failure: `error` with `kind`, `message`,
    `traceback`, and where it arose: `call`, `step` (of the call's segment; None where it is none)."""
    data: Bytes = b""


Message = Put | Define | Call | Place | Fetch | Ask
"""What a client sends; the order in which a client sends is the order in which it happens."""
