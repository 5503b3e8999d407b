"""What makes a graph cheaper without changing a bit of what it computes."""

__all__ = ["simplify", "sink_views", "start_early"]

from typing import Any, Final

import torch

from outgrow.placement import Partial, Replicate
from outgrow.shard.instructions import TensorMeta
from outgrow.shard.replay.aliases import is_view, may_alias
from outgrow.shard.replay.graph import Graph, Kind, Node

SMALL: Final = 256 * 1024
"""Bytes up to which an all-reduce shares a buffer with others: below, latency is most of what it costs."""
_ADDED: Final = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
"""Dtypes that are added up while other things run."""
BUFFER: Final = 1024 * 1024
"""Bytes of such a buffer."""


def simplify(graph: Graph) -> None:
    """Drop what nobody reads, give up views that change nothing, make equal views once."""
    renamed: dict[int, int] = {}
    seen: dict[tuple[Any, ...], int] = {}
    kept = []
    for node in graph.nodes:
        node.inputs = [renamed.get(operand, operand) for operand in node.inputs]
        same = _same_as(graph, node, seen)
        if same is None:
            kept.append(node)
        else:
            renamed[node.outputs[0]] = same
    graph.outputs = {ref: renamed.get(variable, variable) for ref, variable in graph.outputs.items()}
    needed = set(graph.outputs.values())
    alive: list[Node] = []
    for node in reversed(kept):
        if not needed.isdisjoint(node.outputs):
            needed.update(node.inputs)
            alive.append(node)
    graph.nodes = alive[::-1]


def _same_as(graph: Graph, node: Node, seen: dict[tuple[Any, ...], int]) -> int | None:
    template, row = node.template, node.row
    if template is None or row is None or template.mutates or len(node.outputs) != 1 or len(node.inputs) != 1:
        return None
    if not may_alias(template, row) or node.floats[0] != node.floats[1]:
        return None
    is_same = graph.variables[node.inputs[0]].placement == graph.variables[node.outputs[0]].placement
    if is_same and template.op in ("aten.detach.default", "aten.alias.default"):
        return node.inputs[0]
    key = (node.inputs[0], template, row)
    known = seen.get(key)
    if known is None:
        seen[key] = node.outputs[0]
    return known


def sink_views(graph: Graph) -> None:
    """Views are made right before they are read, so that nothing waits for what they show any earlier."""
    first: dict[int, int] = {}
    sunk: dict[int, list[Node]] = {}
    kept: list[Node] = []
    end = len(graph.nodes)
    for index in range(end - 1, -1, -1):
        node = graph.nodes[index]
        at = index
        if node.template is not None and not node.template.mutates and is_view(node.template.op):
            at = min((first.get(variable, end) for variable in node.outputs), default=index)
            sunk.setdefault(at, []).append(node)
        else:
            kept.append(node)
        for operand in node.inputs:
            first[operand] = min(first.get(operand, end), at)
    nodes: list[Node] = []
    position = {node: index for index, node in enumerate(graph.nodes)}
    for node in reversed(kept):
        nodes += reversed(sunk.pop(position[node], []))
        nodes.append(node)
    for left in sorted(sunk):
        nodes += reversed(sunk[left])
    graph.nodes = nodes


def start_early(graph: Graph) -> None:
    """All-reduces whose results are needed later start as soon as their input is there; small ones share a
    buffer.
    """
    position = {node: index for index, node in enumerate(graph.nodes)}
    made = {variable: index for index, node in enumerate(graph.nodes) for variable in node.outputs}
    first: dict[int, int] = {}
    for index, node in enumerate(graph.nodes):
        for operand in node.inputs:
            first.setdefault(operand, index)
    open_groups: dict[tuple[Any, ...], list[Node]] = {}
    groups: list[list[Node]] = []
    end = len(graph.nodes)
    late = [node for node in graph.nodes if _is_reduction(graph, node)]
    late.sort(key=lambda node: (made.get(node.inputs[0], -1), position[node]))
    for node in late:
        source = graph.variables[node.inputs[0]]
        if source.meta.nbytes > SMALL:
            groups.append([node])
            continue
        key = (source.meta.dtype, _reduction(graph, node))
        group = open_groups.get(key)
        if group is None or not _fits(graph, [*group, node], made, first, end):
            group = open_groups[key] = []
            groups.append(group)
        group.append(node)
    _rewrite(graph, groups, made, first, end)


def _is_reduction(graph: Graph, node: Node) -> bool:
    if node.kind is not Kind.MOVE:
        return False
    old, new = graph.variables[node.inputs[0]], graph.variables[node.outputs[0]]
    is_summed = isinstance(old.placement, Partial) and old.placement.reduction in ("sum", "avg")
    return is_summed and new.placement == Replicate() and old.meta.dtype in _ADDED and old.meta.elements > 0


def _reduction(graph: Graph, node: Node) -> str:
    placement = graph.variables[node.inputs[0]].placement
    assert isinstance(placement, Partial)
    return placement.reduction


def _fits(graph: Graph, group: list[Node], made: dict[int, int], first: dict[int, int], end: int) -> bool:
    metas: list[TensorMeta] = [graph.variables[node.inputs[0]].meta for node in group]
    ready = max(made.get(node.inputs[0], -1) for node in group)
    wanted = min(first.get(node.outputs[0], end) for node in group)
    return ready < wanted and sum(meta.nbytes for meta in metas) <= BUFFER


def _rewrite(
    graph: Graph, groups: list[list[Node]], made: dict[int, int], first: dict[int, int], end: int
) -> None:
    after: dict[int, list[Node]] = {}
    before: dict[int, list[Node]] = {}
    replaced = {node for group in groups for node in group}
    for group in groups:
        ready = max(made.get(node.inputs[0], -1) for node in group)
        wanted = min(first.get(node.outputs[0], end) for node in group)
        handle = graph.variable(graph.variables[group[0].outputs[0]].meta, Replicate())
        step = min(node.step for node in group)
        sources, results = [node.inputs[0] for node in group], [node.outputs[0] for node in group]
        start = Node(Kind.START, sources, [handle.number], step, reduction=_reduction(graph, group[0]))
        after.setdefault(ready, []).append(start)
        before.setdefault(wanted, []).append(Node(Kind.WAIT, [handle.number], results, step))
    nodes = list(after.get(-1, ()))
    for index, node in enumerate(graph.nodes):
        nodes += before.get(index, ())
        if node not in replaced:
            nodes.append(node)
        nodes += after.get(index, ())
    graph.nodes = nodes + before.get(end, [])
