"""How a cycle could run: what the planner is asked, and its answers as the plain JSON of a decision."""

__all__ = ["Pins", "make_candidates"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outgrow.errors import OutgrowError
from outgrow.placement import Owned, Placement, Replicate
from outgrow.shard.instructions import Segment
from outgrow.shard.planner import Costs, Plan, Problem, make_plan
from outgrow.shard.replay.hot_path import Cycle
from outgrow.shard.replay.joining import Joined, join, parts_of
from outgrow.shard.rules import rows

_HOPELESS = 3.0
"""Candidates predicted to take so many times the best prediction are not tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What the user said about placements."""

    values: Mapping[int, Placement]
    """By the number of a value: how it must be held."""
    names: Mapping[int, str]
    """By the number of a value: what to call it."""


def make_candidates(
    cycle: Cycle,
    segments: Sequence[Segment],
    costs: Costs,
    pins: Pins,
    memory_bytes: int | None,
    kinds: Sequence[str] = (),
) -> dict[str, Any]:
    """The decision to try plans for a cycle: `plans`, the best prediction first, and `notes` where there are
    none. `kinds` are the only kinds wanted; none stands for all.
    """
    world_size = costs.world_size
    decision: dict[str, Any] = {
        "kind": "try",
        "cycle": cycle.key,
        "parts": [call.key for call in cycle.calls],
        "plans": [],
        "notes": [],
    }
    joined = join(cycle, segments)
    known = [rows(joined.segment.templates[step.template], world_size) for step in joined.segment.steps]
    if world_size == 1:
        decision["plans"] = [_json(joined, _replicated(joined), known, cycle, segments)]
        return decision
    try:
        plans = make_plan(_problem(joined, known, cycle, costs, pins, memory_bytes))
    except OutgrowError as error:
        decision["notes"] = [f"{type(error).__name__}: {error}"]
        return decision
    wanted = [plan for plan in plans if plan.kind in kinds]
    if kinds and not wanted:
        decision["notes"] = [f"no plan is of the kinds asked for: {', '.join(kinds)}"]
        return decision
    plans = tuple(wanted) or plans
    best = min(plan.predicted_seconds for plan in plans)
    decision["plans"] = [
        _json(joined, plan, known, cycle, segments)
        for plan in plans
        if plan.predicted_seconds <= _HOPELESS * best or plan.kind in ("data parallel", "solo")
    ]
    return decision


def _problem(
    joined: Joined, known: Sequence[Any], cycle: Cycle, costs: Costs, pins: Pins, memory_bytes: int | None
) -> Problem:
    pinned, names = {}, {}
    for call, refs in zip(cycle.calls, joined.refs, strict=True):
        for value, ref in zip(call.inputs, refs, strict=True):
            if ref < 0 and value in pins.values:
                pinned[-1 - ref] = pins.values[value]
            if ref < 0 and value in pins.names:
                names[-1 - ref] = pins.names[value]
    return Problem(
        segment=joined.segment,
        rows=tuple(known),
        state=joined.state,
        kept=joined.kept,
        uploads=joined.uploads,
        live=joined.live,
        costs=costs,
        memory_bytes=memory_bytes,
        pinned=pinned,
        names=names,
    )


def _replicated(joined: Joined) -> Plan:
    return Plan(
        kind="replicated",
        rows=(0,) * len(joined.segment.steps),
        inputs=(Replicate(),) * len(joined.segment.inputs),
        outputs=dict.fromkeys(joined.live, Replicate()),
        predicted_seconds=0.0,
        state_bytes=0,
    )


def _json(
    joined: Joined, plan: Plan, known: Sequence[Any], cycle: Cycle, segments: Sequence[Segment]
) -> dict[str, Any]:
    if plan.kind == "solo":
        alone = str(Owned(0))
        parts: list[dict[str, Any]] = [
            {"rows": [], "inputs": [alone] * len(call.inputs), "outputs": [alone] * len(call.live)}
            for call in cycle.calls
        ]
    else:
        parts = parts_of(joined, plan, known, cycle, segments)
    return {
        "kind": plan.kind,
        "predicted_seconds": plan.predicted_seconds,
        "state_bytes": plan.state_bytes,
        "notes": list(plan.notes),
        "details": dict(plan.details),
        "inputs": [str(placement) for placement in plan.inputs],
        "uploads": [
            {
                "shape": list(joined.segment.inputs[given].shape),
                "stride": list(joined.segment.inputs[given].stride),
                "dtype": str(joined.segment.inputs[given].dtype).removeprefix("torch."),
                "placement": str(plan.inputs[given]),
            }
            for given in joined.uploads
        ],
        "parts": parts,
    }
