"""The calls of a cycle as one segment for the planner, and its plan cut into one part for each call again."""

__all__ = ["Joined", "join", "parts_of"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outgrow.placement import Partial, Placement, Replicate
from outgrow.shard.instructions import Segment, Step, Template, TensorMeta
from outgrow.shard.planner import Plan
from outgrow.shard.replay.hot_path import Cycle
from outgrow.shard.rules import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """One segment made of several, and where each value of it came from."""

    segment: Segment
    refs: tuple[tuple[int, ...], ...]
    """For each input of each call, what it is in the joined segment: a local number, or -1-k for its k-th
    input."""
    offsets: tuple[int, ...]
    """For each call, what its local numbers are moved by."""
    steps: tuple[int, ...]
    """For each call, its first step in the joined segment."""
    state: tuple[tuple[int, int], ...]
    """`(input, local number)`, as `Problem.state` has it."""
    kept: tuple[int, ...]
    uploads: tuple[int, ...]
    live: tuple[int, ...]
    """Local numbers that are needed when the cycle is over."""


def join(cycle: Cycle, segments: Sequence[Segment]) -> Joined:
    """`segments` are those of the cycle's calls."""
    templates: dict[Template, int] = {}
    steps: list[Step] = []
    metas: list[TensorMeta] = []
    known: dict[Any, int] = {}
    refs: list[tuple[int, ...]] = []
    offsets: list[int] = []
    firsts: list[int] = []
    before: dict[int, tuple[int, int]] = {}
    kept: list[int] = []
    uploads: list[int] = []
    live: dict[int, None] = {}
    made = 0
    for call, segment, sources in zip(cycle.calls, segments, cycle.sources, strict=True):
        own = []
        for value, meta, source in zip(call.inputs, segment.inputs, sources, strict=True):
            if source[0] == "same":
                own.append(offsets[source[1]] + cycle.calls[source[1]].live[source[2]])
                continue
            ref = known.get(value)
            if ref is None:
                ref = known[value] = -1 - len(metas)
                if source[0] == "before":
                    before[len(metas)] = (source[1], source[2])
                else:
                    (uploads if source[0] == "new" else kept).append(len(metas))
                metas.append(meta)
            own.append(ref)
        offsets.append(made)
        firsts.append(len(steps))
        for step in segment.steps:
            template = templates.setdefault(segment.templates[step.template], len(templates))
            inputs = tuple(ref + made if ref >= 0 else own[-1 - ref] for ref in step.inputs)
            steps.append(Step(template, inputs, step.outputs, step.floats))
        refs.append(tuple(own))
        for index in call.dying:
            live.pop(own[index], None)
        live.update(dict.fromkeys(made + local for local in call.live))
        made += sum(step.outputs for step in segment.steps)
    state = []
    for given, (call_at, position) in before.items():
        state.append((given, offsets[call_at] + cycle.calls[call_at].live[position]))
    return Joined(
        segment=Segment(templates=tuple(templates), steps=tuple(steps), inputs=tuple(metas)),
        refs=tuple(refs),
        offsets=tuple(offsets),
        steps=tuple(firsts),
        state=tuple(pair for pair in state if pair[1] in live),
        kept=tuple(kept),
        uploads=(*uploads, *(given for given, local in state if local not in live)),
        live=tuple(live),
    )


def parts_of(
    joined: Joined, plan: Plan, rows: Sequence[Sequence[Row]], cycle: Cycle, segments: Sequence[Segment]
) -> list[dict[str, Any]]:
    """For each call: `rows` as indices, and the placements of its `inputs` and live `outputs`, as text. Plain
    JSON.
    """
    chosen = [rows[index][number] for index, number in enumerate(plan.rows)]
    made: list[Placement] = [placement for row in chosen for placement in row.outputs]
    parts = []
    for at, (call, segment) in enumerate(zip(cycle.calls, segments, strict=True)):
        first, offset = joined.steps[at], joined.offsets[at]
        wholes = {
            ref
            for step, row in zip(segment.steps, chosen[first:], strict=False)
            for ref, placement in zip(step.inputs, row.inputs, strict=True)
            if placement == Replicate()
        }
        outputs = {}
        for local in call.live:
            placement = plan.outputs.get(offset + local, made[offset + local])
            is_reduced = isinstance(placement, Partial) and local in wholes
            outputs[local] = Replicate() if is_reduced else placement
        made_so: Mapping[int, Placement] = {offset + local: placement for local, placement in outputs.items()}
        for number, placement in made_so.items():
            made[number] = placement
        inputs = [plan.inputs[-1 - ref] if ref < 0 else made[ref] for ref in joined.refs[at]]
        parts.append(
            {
                "rows": list(plan.rows[first : first + len(segment.steps)]),
                "inputs": [str(placement) for placement in inputs],
                "outputs": [str(outputs[local]) for local in call.live],
            }
        )
    return parts
