"""Why a plan holds its inputs so: what the other way would have cost."""

__all__ = ["leaves_of", "reasons_for"]

from collections.abc import Mapping, Sequence
from typing import Any, Final

from outgrow.placement import Placement, Replicate, Shard
from outgrow.quantities import format_bytes
from outgrow.shard.planner.cost import collectives_between
from outgrow.shard.planner.graph import Graph
from outgrow.shard.planner.search import Search

MOST_LEAVES: Final = 64
"""Inputs that are written down one by one; those of the most bytes."""
_ASKED: Final = 3
"""Inputs for which the other way is worked out; each is another solve."""
_LONGEST: Final = 2500
"""Steps beyond which that takes too long."""


def reasons_for(search: Search, choices: Sequence[int]) -> dict[int, str]:
    """Sentences about the largest inputs, by input."""
    graph, found = search.graph, dict[int, str]()
    if len(graph.problem.segment.steps) > _LONGEST:
        return found
    own, least = graph.seconds(choices), graph.problem.costs.op_seconds
    metas = graph.problem.segment.inputs
    for number in sorted(graph.resting, key=lambda number: (-metas[number].nbytes, number))[:_ASKED]:
        options = [row.outputs[0] for row in graph.variables[number].options]
        held = options[choices[number]]
        others: frozenset[Placement]
        if isinstance(held, Replicate):
            others, way = frozenset(one for one in options if isinstance(one, Shard)), "cut"
        else:
            others, way = frozenset(one for one in options if isinstance(one, Replicate)), "held whole"
        if not others:
            continue
        seconds = search.solve(allowed={number: others}).seconds - own
        if seconds > least:
            found[number] = f"{way}, a step would take {seconds * 1e3:.1f} ms more"
    return found


def leaves_of(
    graph: Graph, choices: Sequence[int], reasons: Mapping[int, str]
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """What is known of inputs, plain JSON, in their order: the largest one by one, and the number and bytes
    of the others."""
    problem, moves = graph.problem, dict[int, list[str]]()
    for move in graph.moves(choices):
        names = collectives_between(move.old, move.new)
        leaf = move.value if move.value < graph.inputs else None
        if leaf is None and move.is_deferred:
            leaf = graph.updated_by(move.value)
        if names and leaf is not None:
            size = format_bytes(graph.values[move.value].nbytes)
            moves.setdefault(leaf, []).append(f"{names[0]} of {size}")
    metas, becomes = problem.segment.inputs, dict(problem.state)
    largest = sorted(range(graph.inputs), key=lambda number: (-metas[number].nbytes, number))[:MOST_LEAVES]
    leaves = []
    for number in sorted(largest):
        meta = metas[number]
        placement = graph.variables[number].options[choices[number]].outputs[0]
        leaves.append(
            {
                "input": number,
                "becomes": becomes.get(number),
                "name": graph.name_of(number),
                "role": _role(graph, number),
                "shape": list(meta.shape),
                "dtype": str(meta.dtype).removeprefix("torch."),
                "bytes": meta.nbytes,
                "rank_bytes": graph.cost.local_bytes(meta, placement),
                "placement": str(placement),
                "why": _why(graph, number, placement, moves.get(number, ()), reasons.get(number)),
            }
        )
    rest = [metas[number].nbytes for number in range(graph.inputs) if number not in largest]
    return leaves, {"count": len(rest), "bytes": sum(rest)}


def _role(graph: Graph, number: int) -> str:
    if number in graph.problem.uploads:
        return "sent for each step"
    return "kept" if number in graph.problem.kept else "state"


def _why(graph: Graph, number: int, placement: Placement, moves: Sequence[str], reason: str | None) -> str:
    parts = []
    if number in graph.problem.pinned:
        parts.append("placed so by the program")
    if moves:
        parts.append(" and ".join(moves[:2]) + " each step")
    elif number in graph.resting and isinstance(placement, Shard):
        parts.append("each worker updates its piece, nothing is exchanged")
    if reason is not None:
        parts.append(reason)
    return "; ".join(parts)
