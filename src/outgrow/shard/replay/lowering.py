"""From a segment and a row for each step to a graph with every exchange written out, each made once for all
its consumers.
"""

__all__ = ["lower"]

from collections.abc import Mapping, Sequence

from outgrow.placement import Partial, Placement, Replicate
from outgrow.shard.instructions import Segment
from outgrow.shard.replay.aliases import may_alias
from outgrow.shard.replay.graph import Graph, Kind, Node
from outgrow.shard.rules import Row


def lower(
    segment: Segment,
    rows: Sequence[Row],
    inputs: Sequence[Placement],
    live: Mapping[int, Placement | None],
    dying: frozenset[int],
) -> Graph:
    """`inputs` are placements as given; `live` says how outputs shall be held, None as they come.

    `dying` are the indices of inputs that nobody needs afterwards.
    """
    return _Lowering(segment, rows, inputs, live, dying).run()


class _Lowering:
    def __init__(
        self,
        segment: Segment,
        rows: Sequence[Row],
        inputs: Sequence[Placement],
        live: Mapping[int, Placement | None],
        dying: frozenset[int],
    ) -> None:
        self.segment, self.rows, self.live = segment, rows, live
        self.graph = Graph([], [], [], {}, dying, {})
        self.needed: dict[int, set[Placement]] = {}
        self.own: dict[int, int] = {}
        """From a value's local number to the variable as it was made."""
        self.versions: dict[tuple[int, Placement], int] = {}
        for index, (meta, placement) in enumerate(zip(segment.inputs, inputs, strict=True)):
            self._define(-1 - index, self.graph.variable(meta, placement).number, placement)
            self.graph.inputs.append(self.own[-1 - index])

    def run(self) -> Graph:
        for step, row in zip(self.segment.steps, self.rows, strict=True):
            for ref, placement in zip(step.inputs, row.inputs, strict=True):
                self.needed.setdefault(ref, set()).add(placement)
        for ref, wanted in self.live.items():
            if wanted is not None:
                self.needed.setdefault(ref, set()).add(wanted)
        made, at_float = 0, 0
        ancestors: dict[int, int] = {}
        for index, (step, row) in enumerate(zip(self.segment.steps, self.rows, strict=True)):
            template = self.segment.templates[step.template]
            operands = [
                self._version(ref, placement, index)
                for ref, placement in zip(step.inputs, row.inputs, strict=True)
            ]
            outputs = []
            for k, (meta, placement) in enumerate(zip(template.outputs, row.outputs, strict=True)):
                variable = self.graph.variable(meta, placement)
                if k < len(template.mutates):
                    ref = step.inputs[template.mutates[k]]
                    ancestors[made] = ancestors.get(ref, ref)
                elif may_alias(template, row):
                    roots = (self.graph.variables[operand].roots for operand in operands)
                    variable.roots = variable.roots.union(*roots)
                self._define(made, variable.number, placement)
                outputs.append(variable.number)
                made += 1
            floats = (at_float, at_float + step.floats)
            at_float += step.floats
            self.graph.nodes.append(
                Node(Kind.OP, operands, outputs, index, template=template, row=row, floats=floats)
            )
        last = len(self.segment.steps) - 1
        for ref, wanted in self.live.items():
            self.graph.outputs[ref] = self._output(ref, wanted, last)
            if ancestors.get(ref, 0) < 0:
                self.graph.successors[ref] = -1 - ancestors[ref]
        return self.graph

    def _define(self, ref: int, variable: int, placement: Placement) -> None:
        self.own[ref] = variable
        self.versions[ref, placement] = variable

    def _output(self, ref: int, wanted: Placement | None, step: int) -> int:
        if wanted is None:
            own = self.graph.variables[self.own[ref]]
            # Reduced for a consumer anyway: what is kept is the sum, not what it was summed from.
            is_reduced = isinstance(own.placement, Partial) and (ref, Replicate()) in self.versions
            wanted = Replicate() if is_reduced else own.placement
        return self._version(ref, wanted, step)

    def _version(self, ref: int, placement: Placement, step: int) -> int:
        found = self.versions.get((ref, placement))
        if found is not None:
            return found
        source = self.graph.variables[self.own[ref]]
        if placement != Replicate() and Replicate() in self.needed.get(ref, ()):
            # Somebody wants it whole anyway: from there every other placement is free.
            source = self.graph.variables[self._version(ref, Replicate(), step)]
        made = self.graph.variable(source.meta, placement)
        made.roots = made.roots | source.roots
        self.versions[ref, placement] = made.number
        self.graph.nodes.append(Node(Kind.MOVE, [source.number], [made.number], step))
        return made.number
