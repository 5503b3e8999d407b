"""How a cycle could run: what the planner is asked, and its answers as the plain JSON of a decision."""

__all__ = ["Pins", "make_candidates"]

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outgrow.errors import OutgrowError
from outgrow.placement import Owned, Placement, Replicate
from outgrow.shard.instructions import Segment
from outgrow.shard.planner import Costs, Plan, Problem, make_plan
from outgrow.shard.ranks.held import rest_bytes
from outgrow.shard.replay.aliases import is_view
from outgrow.shard.replay.hot_path import Cycle
from outgrow.shard.replay.joining import Joined, join, parts_of
from outgrow.shard.rules import rows

_TRIES = 6
"""Times that the planner is asked again with a lower limit."""
_HOPELESS = 3.0
"""Candidates predicted to take so many times the best prediction are not tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What the user said about placements."""

    values: Mapping[int, Placement]
    """By the number of a value: how it must be held."""
    names: Mapping[int, str]
    """By the number of a value: what to call it."""
    bytes: Mapping[int, int]
    """By the number of a value: what it takes on the fullest rank."""


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
    problem = _problem(joined, known, cycle, costs, pins)
    try:
        plans = (
            make_plan(problem)
            if memory_bytes is None
            else _within(problem, memory_bytes - _beside(cycle, pins))
        )
    except OutgrowError as error:
        decision["notes"] = [f"{type(error).__name__}: {error}"]
        return decision
    if not plans:
        decision["notes"] = ["no plan was found that keeps to what one worker may hold"]
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


def _beside(cycle: Cycle, pins: Pins) -> int:
    """Bytes of what is held and has no part in the cycle."""
    own = {value for call in cycle.calls for value in (*call.inputs, *call.outputs)}
    return sum(nbytes for value, nbytes in pins.bytes.items() if value not in own)


def _within(problem: Problem, limit: int) -> tuple[Plan, ...]:
    """Plans with which one rank never holds more than `limit` at rest, gradients and uploads included.

    The planner's own limit is about state; it is lowered until the rest has room, too.
    """
    ask = limit
    for _ in range(_TRIES):
        plans = make_plan(dataclasses.replace(problem, memory_bytes=ask))
        fitting = tuple(plan for plan in plans if _rest(problem, plan) <= limit)
        if any(plan.kind == "planned" for plan in fitting):
            return fitting
        excess = min(_rest(problem, plan) - limit for plan in plans)
        lower = min(plan.state_bytes for plan in plans) - max(excess, 1)
        if lower <= 0:
            return fitting
        ask = min(lower, ask - 1)
    return fitting


def _rest(problem: Problem, plan: Plan) -> int:
    """Bytes that the fullest rank holds between two cycles, with what was sent for the next one."""
    world_size, metas = problem.costs.world_size, problem.segment.inputs
    values, roots = problem.segment.values(), _roots(problem.segment)
    counted: dict[int, int] = {}
    for number in (*problem.kept, *problem.uploads):
        counted[-1 - number] = rest_bytes(metas[number], plan.inputs[number], world_size)
    for local in problem.live:
        nbytes, root = rest_bytes(values[local], plan.outputs[local], world_size), roots[local]
        if plan.kind == "solo":  # as `Holdings` counts what only one rank has
            root = local
        counted[root] = max(counted.get(root, 0), nbytes)
    return sum(counted.values())


def _roots(segment: Segment) -> list[int]:
    """For each local number, the value whose memory it uses: its own, or that of what it is a view of."""
    roots: list[int] = []
    for step in segment.steps:
        template = segment.templates[step.template]
        for output in range(step.outputs):
            if output < len(template.mutates):
                source = step.inputs[template.mutates[output]]
            elif step.inputs and is_view(template.op):
                source = step.inputs[0]
            else:
                roots.append(len(roots))
                continue
            roots.append(roots[source] if source >= 0 else source)
    return roots


def _problem(joined: Joined, known: Sequence[Any], cycle: Cycle, costs: Costs, pins: Pins) -> Problem:
    pinned, names = {}, {}
    made = {
        offset + local: value
        for call, offset in zip(cycle.calls, joined.offsets, strict=True)
        for local, value in zip(call.live, call.outputs, strict=True)
    }
    for given, local in joined.state:
        # The value that was given is no more; what it has become is pinned if it was.
        if made[local] in pins.values:
            pinned[given] = pins.values[made[local]]
        if made[local] in pins.names:
            names[given] = pins.names[made[local]]
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
