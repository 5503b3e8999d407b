"""Which nodes may write into the memory of their inputs, and which must take a copy first."""

__all__ = ["donate"]

from outgrow.shard.replay.aliases import may_alias
from outgrow.shard.replay.graph import Graph, Kind, Node


def donate(graph: Graph) -> None:
    """Fill in `copies` of every node that writes, and `donated` of the graph; the order of the nodes must be
    final.

    A variable may be written where its memory is its own, nobody reads it later, and no other variable
    that lives on uses that memory. Inputs of the graph may be written only where they die with the call;
    the caller sees to it that nobody else uses their memory.
    """
    _find_roots(graph)
    last_use = _last_uses(graph)
    users: dict[int, list[int]] = {}
    for variable in graph.variables:
        for root in variable.roots:
            users.setdefault(root, []).append(variable.number)
    index_of = {variable: index for index, variable in enumerate(graph.inputs)}
    for position, node in enumerate(graph.nodes):
        written = _written(node)
        node.copies = [False] * len(node.inputs)
        for place in written:
            operand = node.inputs[place]
            variable = graph.variables[operand]
            others = (other for other in users[operand] if other != operand)
            is_free = (
                variable.roots == {operand}
                and last_use[operand] == position
                and (node.kind is Kind.OP or node.inputs.count(operand) == 1)
                and all(last_use.get(other, -1) < position for other in others)
                and not _is_overlapping(variable.meta.shape, variable.meta.stride)
            )
            node.copies[place] = not is_free
            if is_free and operand in index_of:
                graph.donated.add(index_of[operand])


def _find_roots(graph: Graph) -> None:
    """Which memory each variable may use, as the nodes are now."""
    variables = graph.variables
    for variable in variables:
        variable.roots = frozenset((variable.number,))
    for node in graph.nodes:
        shares = node.kind is Kind.MOVE
        fresh = 0
        if node.kind is Kind.OP:
            assert node.template is not None
            assert node.row is not None
            shares, fresh = may_alias(node.template, node.row), len(node.template.mutates)
        if shares:
            roots = frozenset[int]().union(*(variables[operand].roots for operand in node.inputs))
            for made in node.outputs[fresh:]:
                variables[made].roots |= roots


def _written(node: Node) -> tuple[int, ...]:
    if node.kind is Kind.OP:
        assert node.template is not None
        return node.template.mutates
    # Several tensors are gathered into a buffer of their own; one alone is reduced where it lies.
    return (0,) if node.kind is Kind.START and len(node.inputs) == 1 else ()


def _last_uses(graph: Graph) -> dict[int, int]:
    last = {operand: position for position, node in enumerate(graph.nodes) for operand in node.inputs}
    for position, node in enumerate(graph.nodes):
        for made in node.outputs:
            last.setdefault(made, position)
    end = len(graph.nodes)
    for variable in graph.outputs.values():
        last[variable] = end
    for index, variable in enumerate(graph.inputs):
        if index not in graph.dying:
            last[variable] = end
    return last


def _is_overlapping(shape: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    return any(size > 1 and step == 0 for size, step in zip(shape, stride, strict=True))
