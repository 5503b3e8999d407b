"""What the planner is asked and what it answers: plain values."""

__all__ = ["Costs", "Plan", "Problem"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outgrow.placement import Placement
from outgrow.shard.instructions import Segment
from outgrow.shard.rules import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What this machine's ranks were measured to cost. Seconds, bytes of the whole tensor, bytes a second."""

    world_size: int
    latency_seconds: Mapping[str, float]
    """By collective: `all_reduce`, `all_gather`, `reduce_scatter`, `all_to_all`, `broadcast`."""
    bandwidth: Mapping[str, float]
    """Bytes of the whole tensor a second, by collective."""
    flops: float
    """Floating point operations a second of one rank while all ranks compute."""
    solo_flops: float
    """Those of one rank that has all cores to itself."""
    memory_bandwidth: float
    """Bytes a second of one rank while all ranks compute."""
    solo_memory_bandwidth: float
    """Bytes a second of one rank that has the machine to itself."""
    op_seconds: float = 5e-6
    """Of any op, however small."""
    narrow_flops: float = 0.0
    """As `flops`, of products in which some dim has only 16 entries; 0 for the same."""
    solo_narrow_flops: float = 0.0
    """As `solo_flops`, of such products: several threads hardly help them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One training step as a segment, with everything that decides where its tensors should be."""

    segment: Segment
    """All segments of the step, joined."""
    rows: tuple[tuple[Row, ...], ...]
    """For each step of the segment, the ways it can run; the replicated one first."""
    state: tuple[tuple[int, int], ...]
    """`(input, local number)`: the value made there is that input at the next call."""
    kept: tuple[int, ...]
    """Other inputs that are the same value at every call."""
    uploads: tuple[int, ...]
    """Inputs that are sent anew for every call."""
    live: tuple[int, ...]
    """Local numbers that are needed after it."""
    costs: Costs
    memory_bytes: int | None = None
    """What one rank may hold between two steps: all inputs, and live values beside new state; None for no
    limit."""
    pinned: Mapping[int, Placement] = field(default_factory=dict)
    """Inputs that must be held so."""
    pinned_values: Mapping[int, Placement] = field(default_factory=dict)
    """Local numbers whose values must be made so, or made so that they can be turned into it at once."""
    is_solo_allowed: bool = True
    """Whether one rank may do everything."""
    names: Mapping[int, str] = field(default_factory=dict)
    """What to call inputs in tables and errors; those without a name are called `input 3`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which row each step runs and how values are held at the borders."""

    kind: str
    """`planned`, `data parallel`, `replicated` or `solo` (one rank does everything with all cores; rows are
    then empty)."""
    rows: tuple[int, ...]
    """For each step, an index into `Problem.rows`."""
    inputs: tuple[Placement, ...]
    """For each input of the segment."""
    outputs: Mapping[int, Placement]
    """For each live local number."""
    predicted_seconds: float
    """Of one step."""
    state_bytes: int
    """Of state and kept inputs on the fullest rank."""
    rest_bytes: int = 0
    """Of all that the fullest rank holds between two steps."""
    notes: tuple[str, ...] = ()
    """Why, in sentences."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON: collectives with bytes and predicted seconds, for the table and the picture."""
