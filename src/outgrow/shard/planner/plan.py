"""Candidates for how to run one training step, the one that is predicted to be fastest first."""

__all__ = ["Costs", "Plan", "Problem", "make_plan", "plan_from_json", "plan_to_json"]

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from outgrow.placement import Owned
from outgrow.shard.planner.baselines import data_parallel, replicated_choices, solo_seconds
from outgrow.shard.planner.cost import CostModel, collectives_between
from outgrow.shard.planner.graph import Graph
from outgrow.shard.planner.memory import solve_within
from outgrow.shard.planner.problem import Costs, Plan, Problem
from outgrow.shard.planner.reasons import leaves_of, reasons_for
from outgrow.shard.planner.record import plan_from_json, plan_to_json
from outgrow.shard.planner.search import Search
from outgrow.shard.planner.stages import stages_of
from outgrow.shard.rules.placing import PLACE

_WORTH_ANOTHER: Final = 0.03
"""Of a step's time, what a last message must cost beyond its shares for another search to be worth it."""
MOST_MOVES: Final = 200
"""Exchanges that are written down; the slowest ones."""


def make_plan(problem: Problem) -> tuple[Plan, ...]:
    """Plans for a step, best first by prediction; at least one.

    Beside the found plan there are those that need no search, where they are possible: `data parallel`,
    `replicated`, `solo`. Two candidates are never alike. The answer depends on the problem alone.

    Raises:
        InputError: something pinned is impossible.
        MemoryLimitTooSmall: no plan holds what one rank may hold.
    """
    graph, limit = Graph(problem), problem.memory_bytes
    search = Search(graph)
    choices = _found(graph, search, limit)
    found = [plan_of(graph, "planned", choices, reasons=reasons_for(search, choices))]
    parallel = data_parallel(graph)
    if parallel is not None:
        found.append(plan_of(graph, "data parallel", parallel[0].choices, batch_size=parallel[1]))
    found.append(plan_of(graph, "replicated", replicated_choices(graph)))
    is_placed = any(template.op == PLACE for template in problem.segment.templates)
    if problem.is_solo_allowed and not (problem.pinned or problem.pinned_values or is_placed):
        found.append(solo_plan(graph))
    if limit is not None:
        found = [plan for plan in found if plan.rest_bytes <= limit]
    unlike: dict[Any, Plan] = {}
    for plan in found:
        same = unlike.get((plan.rows, plan.inputs))
        # The one with reasons, by the name that says more.
        kept = plan if same is None else dataclasses.replace(same, kind=plan.kind)
        unlike[plan.rows, plan.inputs] = kept
    return tuple(sorted(unlike.values(), key=lambda plan: plan.predicted_seconds))


def _found(graph: Graph, search: Search, limit: int | None) -> tuple[int, ...]:
    """The search's choices, or those of one in which small exchanges share nothing.

    A step with little to exchange pays for a whole message, which the shares do not tell.
    """
    found = solve_within(search, limit)
    if graph.unfilled_seconds(graph.moves(found.choices)) < _WORTH_ANOTHER * found.seconds:
        return found.choices
    other = solve_within(Search(graph.priced(CostModel(graph.problem.costs, is_joining=False))), limit)
    return min(found.choices, other.choices, key=graph.seconds)


def plan_of(
    graph: Graph,
    kind: str,
    choices: tuple[int, ...],
    *,
    reasons: Mapping[int, str] | None = None,
    **details: Any,
) -> Plan:
    """Choices as a plan; `reasons` are sentences about inputs."""
    problem, variables = graph.problem, graph.variables
    chosen = [variable.options[choice] for variable, choice in zip(variables, choices, strict=True)]
    outputs = {}
    for local in problem.live:
        value = graph.values[local + graph.inputs]
        outputs[local] = chosen[value.maker].outputs[value.output]
    inputs = tuple(row.outputs[0] for row in chosen[: graph.inputs])
    for given, local in problem.state:
        outputs[local] = inputs[given]
    moves: list[dict[str, Any]] = [
        {
            "value": move.value - graph.inputs,
            "from": str(move.old),
            "to": str(move.new),
            "collectives": list(collectives_between(move.old, move.new)),
            "bytes": graph.values[move.value].nbytes,
            "is_deferred": move.is_deferred,
            "predicted_seconds": move.seconds,
        }
        for move in graph.moves(choices)
        if collectives_between(move.old, move.new)
    ]
    moves.sort(key=lambda move: -move["predicted_seconds"])
    leaves, others = leaves_of(graph, choices, reasons or {})
    return Plan(
        kind=kind,
        rows=tuple(
            variable.numbers[choice]
            for variable, choice in zip(variables[graph.inputs :], choices[graph.inputs :], strict=True)
        ),
        inputs=inputs,
        outputs=outputs,
        predicted_seconds=graph.seconds(choices),
        state_bytes=graph.state_bytes(choices),
        rest_bytes=graph.rest_bytes(choices),
        details={
            "collectives": moves[:MOST_MOVES],
            "exchanged": {"times": len(moves), "bytes": sum(move["bytes"] for move in moves)},
            "leaves": leaves,
            "other_leaves": others,
            "stages": stages_of(graph, choices),
            "compute_seconds": graph.seconds(choices) - sum(move["predicted_seconds"] for move in moves),
            **details,
        },
    )


def solo_plan(graph: Graph) -> Plan:
    """One rank does everything with all cores."""
    problem = graph.problem
    return Plan(
        kind="solo",
        rows=(),
        inputs=(Owned(0),) * graph.inputs,
        outputs=dict.fromkeys(problem.live, Owned(0)),
        predicted_seconds=solo_seconds(graph),
        state_bytes=sum(problem.segment.inputs[number].nbytes for number in graph.resting),
        rest_bytes=sum(graph.values[number].nbytes for number in graph.at_rest),
        details={"collectives": [], "exchanged": {"times": 0, "bytes": 0}},
    )
