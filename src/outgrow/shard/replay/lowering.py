"""From a segment and a row for each step to a graph with every exchange written out, each made once for all
its consumers.
"""

__all__ = ["lower"]

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from outgrow.placement import Partial, Placement, Replicate
from outgrow.shard.instructions import Segment, Template
from outgrow.shard.replay.aliases import is_view
from outgrow.shard.replay.graph import Graph, Kind, Node
from outgrow.shard.rules import Row
from outgrow.shard.rules.row import replicated


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


class _Deed(NamedTuple):
    """One op to run."""

    step: int
    template: Template
    row: Row
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    """Local numbers; from `_HIDDEN` on those that only parts of the same step see."""
    floats: tuple[int, int]
    written: Mapping[int, int]
    """From outputs to the values whose new contents they are."""


_HIDDEN = 1 << 40


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
        self.views: dict[int, tuple[Template, int]] = {}
        """From a view of one value to the op that cuts it, and that value."""
        self.versions: dict[tuple[int, Placement], int] = {}
        for index, (meta, placement) in enumerate(zip(segment.inputs, inputs, strict=True)):
            self._define(-1 - index, self.graph.variable(meta, placement).number, placement)
            self.graph.inputs.append(self.own[-1 - index])

    def run(self) -> Graph:
        deeds = self._deeds()
        for deed in deeds:
            for ref, placement in zip(deed.inputs, deed.row.inputs, strict=True):
                self.needed.setdefault(ref, set()).add(placement)
        for ref, wanted in self.live.items():
            if wanted is not None:
                self.needed.setdefault(ref, set()).add(wanted)
        ancestors: dict[int, int] = {}
        for index, template, row, refs, made, floats, written in deeds:
            operands = [
                self._version(ref, placement, index) for ref, placement in zip(refs, row.inputs, strict=True)
            ]
            outputs = []
            for k, (meta, placement) in enumerate(zip(template.outputs, row.outputs, strict=True)):
                variable = self.graph.variable(meta, placement)
                if made[k] in written:
                    ref = written[made[k]]
                    ancestors[made[k]] = ancestors.get(ref, ref)
                if len(refs) == len(template.outputs) == 1 and is_view(template.op):
                    self.views[made[k]] = (template, refs[0])
                self._define(made[k], variable.number, placement)
                outputs.append(variable.number)
            self.graph.nodes.append(
                Node(Kind.OP, operands, outputs, index, template=template, row=row, floats=floats)
            )
        last = len(self.segment.steps) - 1
        # Sums that stay sums come last: by then it is known which of them are added up for somebody.
        found = {ref: self._output(ref, wanted, last) for ref, wanted in self._by_need()}
        for ref in self.live:
            self.graph.outputs[ref] = found[ref]
            if ancestors.get(ref, 0) < 0:
                self.graph.successors[ref] = -1 - ancestors[ref]
        return self.graph

    def _deeds(self) -> list[_Deed]:
        """All that is to be run, in order: steps, or the parts of those whose row has parts."""
        deeds: list[_Deed] = []
        made, at_float, hidden = 0, 0, _HIDDEN
        for index, (step, row) in enumerate(zip(self.segment.steps, self.rows, strict=True)):
            template = self.segment.templates[step.template]
            outs = tuple(range(made, made + step.outputs))
            written = {
                outs[k]: step.inputs[place] for k, place in enumerate(template.mutates) if k < len(outs)
            }
            if not row.parts:
                floats = (at_float, at_float + step.floats)
                deeds.append(_Deed(index, template, row, step.inputs, outs, floats, written))
            own: list[int] = []
            for part, part_row in row.parts:
                refs = tuple(step.inputs[ref] if ref >= 0 else own[-1 - ref] for ref in part.inputs)
                inner = [outs[out] if out >= 0 else hidden + k for k, out in enumerate(part.outputs)]
                hidden += len(inner)
                own += inner
                floats = (0, 0)
                if part.floats:
                    floats = (at_float + part.floats[0], at_float + part.floats[-1] + 1)
                deeds.append(_Deed(index, part.template, part_row, refs, tuple(inner), floats, written))
            made += step.outputs
            at_float += step.floats
        return deeds

    def _view_of_sum(self, ref: int, step: int) -> int:
        """The view of what is summed, not the sum of what is viewed: one sum serves both."""
        template, viewed = self.views[ref]
        operand = self._version(viewed, Replicate(), step)
        made = self.graph.variable(template.outputs[0], Replicate())
        self.versions[ref, Replicate()] = made.number
        row = replicated(template)
        self.graph.nodes.append(Node(Kind.OP, [operand], [made.number], step, template=template, row=row))
        return made.number

    def _define(self, ref: int, variable: int, placement: Placement) -> None:
        self.own[ref] = variable
        self.versions[ref, placement] = variable

    def _by_need(self) -> list[tuple[int, Placement | None]]:
        return sorted(self.live.items(), key=lambda one: one[1] is None or isinstance(one[1], Partial))

    def _output(self, ref: int, wanted: Placement | None, step: int) -> int:
        own = self.graph.variables[self.own[ref]].placement
        wanted = own if wanted is None else wanted
        if wanted == own and isinstance(own, Partial) and (ref, Replicate()) in self.versions:
            # Reduced for a consumer anyway: what is kept is the sum, not what it was summed from.
            wanted = Replicate()
        return self._version(ref, wanted, step)

    def _version(self, ref: int, placement: Placement, step: int) -> int:
        found = self.versions.get((ref, placement))
        if found is not None:
            return found
        source = self.graph.variables[self.own[ref]]
        if placement == Replicate() and isinstance(source.placement, Partial) and ref in self.views:
            return self._view_of_sum(ref, step)
        if placement != Replicate() and Replicate() in self.needed.get(ref, ()):
            # Somebody wants it whole anyway: from there every other placement is free.
            source = self.graph.variables[self._version(ref, Replicate(), step)]
        made = self.graph.variable(source.meta, placement)
        self.versions[ref, placement] = made.number
        self.graph.nodes.append(Node(Kind.MOVE, [source.number], [made.number], step))
        return made.number
