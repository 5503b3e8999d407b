"""A plan's step as a short list of stages, in the order of the forward pass: what the picture shows."""

__all__ = ["MOST", "stages_of"]

from collections.abc import Sequence
from typing import Any, Final

from outgrow.shard.planner.cost import VIEWS, collectives_between
from outgrow.shard.planner.graph import Graph
from outgrow.shard.planner.variables import END

MOST: Final = 40
"""Stages that are kept; those of the largest state."""

Move = dict[str, Any]


def stages_of(graph: Graph, choices: Sequence[int]) -> list[dict[str, Any]]:
    """One stage for each parameter that a step of the forward pass takes, plain JSON; repeated ones are
    counted.

    A stage has the `name`, `shape` and `placement` of the parameter, its `bytes` and `rank_bytes`, the `op`
    that takes it and the placement of its `output`, and the collectives of its `forward`, `backward` and
    `update` part. `repeats` says how many times it and the stages with the same `group` follow each other.
    """
    turn = _turn(graph)
    anchors = _anchors(graph, turn)
    anchors_at = dict(anchors)
    stages: list[dict[str, Any]] = []
    for number, variable in anchors:
        meta = graph.problem.segment.inputs[number]
        row = graph.variables[variable].options[choices[variable]]
        step = graph.problem.segment.steps[variable - graph.inputs]
        placement = graph.variables[number].options[choices[number]].outputs[0]
        stages.append(
            {
                "input": number,
                "name": graph.name_of(number),
                "shape": list(meta.shape),
                "placement": str(placement),
                "bytes": meta.nbytes,
                "rank_bytes": graph.cost.local_bytes(meta, placement),
                "op": graph.problem.segment.templates[step.template].op.split(".")[1],
                "output": str(row.outputs[0]),
                "forward": [],
                "backward": [],
                "update": [],
            }
        )
    _attach(graph, choices, stages, [variable for _, variable in anchors], turn)
    folded = _folded(stages)
    if len(folded) > MOST:
        folded.sort(key=lambda stage: (not _talks(stage), -stage["repeats"] * stage["bytes"]))
        folded = sorted(folded[:MOST], key=lambda stage: anchors_at[stage["input"]])
    return folded


def _turn(graph: Graph) -> int:
    """The variable with which the backward pass begins: what follows the loss."""
    last = [graph.values[number].maker for number in graph.fetched]
    return min(last) if last else graph.inputs + len(graph.problem.segment.steps) * 2 // 5


def _anchors(graph: Graph, turn: int) -> list[tuple[int, int]]:
    """`(input, variable)`: parameters of at least two dims and the first step that does more than look at
    them."""
    found = []
    for number in graph.resting:
        if len(graph.problem.segment.inputs[number].shape) < 2:
            continue
        first = _first_use(graph, number, turn)
        if first is not None:
            found.append((number, first))
    return sorted(found, key=lambda pair: (pair[1], pair[0]))


def _first_use(graph: Graph, number: int, turn: int) -> int | None:
    waiting, found = [number], []
    while waiting:
        value = graph.values[waiting.pop()]
        for use in value.uses:
            if use.position == END or use.variable > turn:
                continue
            step = graph.problem.segment.steps[use.variable - graph.inputs]
            if graph.problem.segment.templates[step.template].op in VIEWS:
                waiting += list(graph.made_by(use.variable))
            else:
                found.append(use.variable)
    return min(found, default=None)


def _attach(
    graph: Graph, choices: Sequence[int], stages: list[dict[str, Any]], anchors: list[int], turn: int
) -> None:
    owner = {stage["input"]: stage for stage in stages}
    for move in graph.moves(choices):
        names = collectives_between(move.old, move.new)
        if not names or not stages:
            continue
        value = graph.values[move.value]
        entry = {
            "collective": names[0],
            "from": str(move.old),
            "to": str(move.new),
            "bytes": value.nbytes,
            "predicted_seconds": move.seconds,
            "is_deferred": move.is_deferred,
        }
        leaf = graph.updated_by(move.value) if move.is_deferred else None
        if leaf in owner:
            owner[leaf]["update"].append(entry)
        elif leaf is not None:
            continue
        else:
            at = max((k for k, anchor in enumerate(anchors) if anchor <= value.maker), default=0)
            part = "forward"
            if value.maker > turn:
                part, at = "backward", _nearest(graph, value.maker, anchors, stages, turn)
            stages[at][part].append(entry)


def _nearest(graph: Graph, maker: int, anchors: list[int], stages: list[dict[str, Any]], turn: int) -> int:
    """The stage whose backward part a step belongs to: the backward pass is the forward pass, mirrored."""
    whole = graph.inputs + len(graph.problem.segment.steps)
    end = min((move for move in graph.update_begins() if move > turn), default=whole)
    share = (maker - turn) / max(1, end - turn)
    mirrored = turn - share * (turn - graph.inputs)
    return min(range(len(stages)), key=lambda k: abs(anchors[k] - mirrored))


def _talks(stage: dict[str, Any]) -> bool:
    return bool(stage["forward"] or stage["backward"])


def _folded(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs of stages that repeat, as layers do, kept once."""
    signs = [_sign(stage) for stage in stages]
    folded: list[dict[str, Any]] = []
    at, group = 0, 0
    while at < len(stages):
        best = (1, 1)
        for period in range(1, min(16, (len(stages) - at) // 2) + 1):
            times = 1
            while signs[at + times * period : at + (times + 1) * period] == signs[at : at + period]:
                times += 1
            if times > 1 and (times - 1) * period > (best[1] - 1) * best[0]:
                best = (period, times)
        period, times = best
        folded += [{**stage, "repeats": times, "group": group} for stage in stages[at : at + period]]
        at, group = at + period * times, group + 1
    return folded


def _sign(stage: dict[str, Any]) -> tuple[Any, ...]:
    moves = tuple(
        (move["collective"], move["bytes"], move["is_deferred"])
        for part in ("forward", "backward", "update")
        for move in stage[part]
    )
    return (tuple(stage["shape"]), stage["placement"], stage["op"], stage["output"], moves)
