"""Running a segment step by step, each op on the pieces as they lie: what happens until a plan says
otherwise.
"""

__all__ = ["Eager", "SegmentOps"]

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from outgrow.placement import Owned, Partial, Placement, Replicate, Shard
from outgrow.shard.instructions import Segment, Template, TensorMeta
from outgrow.shard.ranks.fabric import Fabric
from outgrow.shard.ranks.greedy import choose_row
from outgrow.shard.ranks.held import Failure, Held
from outgrow.shard.ranks.kernels import Kernel, template_kernel
from outgrow.shard.ranks.redistribute import redistribute
from outgrow.shard.rules import Row, rows
from outgrow.shard.rules.row import Part

Chooser = Callable[[tuple[Row, ...], list[Placement], Template], Row]


class _Ready(NamedTuple):
    """One op for one way of holding its inputs."""

    kernels: list[Kernel]
    moves: tuple[tuple[int, Placement], ...]
    """Inputs that must be held otherwise, and how."""
    outputs: tuple[tuple[TensorMeta, Placement], ...]
    parts: tuple[tuple[Part, "_Op"], ...]
    """Ops to run instead of the kernels, where there are any."""
    settled: tuple[tuple[int, Placement], ...]
    """Outputs that are held otherwise afterwards: what is written in place stays where it was."""


class _Op:
    """A template with what is known of running it."""

    __slots__ = ("ready", "rows", "template")

    def __init__(self, template: Template, known: tuple[Row, ...]) -> None:
        self.template = template
        self.rows = known
        self.ready: dict[tuple[Placement, ...], _Ready] = {}


def _alone(failure: Failure) -> None:
    """All ranks are in this process: what fails here fails on all."""


class SegmentOps(NamedTuple):
    """A segment as eager execution needs it."""

    segment: Segment
    ops: tuple[_Op, ...]
    """For each step."""
    last_use: dict[int, int]
    """From a local number to the last step that reads it."""


class Eager:
    """Runs segments on one fabric; remembers for every op how it ran."""

    def __init__(self, fabric: Fabric, choose: Chooser | None = None) -> None:
        """`choose` picks a row; by default the one that moves the fewest bytes."""
        self.fabric = fabric
        self.ops_run = 0
        """Steps so far."""
        self.on_failure: Callable[[Failure], None] = _alone
        """Called before a failure is taken for one of all ranks."""
        self._choose = choose or self._cheapest
        self._ops: dict[Template, _Op] = {}

    def prepare(self, segment: Segment) -> SegmentOps:
        """Look at a segment once."""
        known = []
        for template in segment.templates:
            op = self._ops.get(template)
            if op is None:
                op = self._ops[template] = _Op(template, rows(template, self.fabric.world_size))
            known.append(op)
        last_use = {ref: index for index, step in enumerate(segment.steps) for ref in step.inputs if ref >= 0}
        return SegmentOps(segment, tuple(known[step.template] for step in segment.steps), last_use)

    def greedy_rows(self, ops: SegmentOps, inputs: Sequence[Placement]) -> list[Row]:
        """The rows that `run` would choose for inputs that are held so."""
        placements: list[Placement] = []
        chosen = []
        for step, op in zip(ops.segment.steps, ops.ops, strict=True):
            given = [placements[ref] if ref >= 0 else inputs[-1 - ref] for ref in step.inputs]
            row = self.choose(op.template, op.rows, given)
            placements += row.outputs
            chosen.append(row)
        return chosen

    def run(
        self,
        ops: SegmentOps,
        given: Sequence[Held],
        floats: Sequence[float],
        live: Sequence[int],
        call: int,
    ) -> list[Held]:
        """The live values. A step that fails fails what is made of its outputs, not the rest."""
        segment, last_use, kept = ops.segment, ops.last_use, set(live)
        made: dict[int, Held] = {}
        number, at_float = 0, 0
        self.ops_run += len(segment.steps)
        for index, (step, op) in enumerate(zip(segment.steps, ops.ops, strict=True)):
            inputs = [made[ref] if ref >= 0 else given[-1 - ref] for ref in step.inputs]
            taken = floats[at_float : at_float + step.floats]
            at_float += step.floats
            for held in self._step(op, inputs, taken, call, index):
                if number in kept or number in last_use:
                    made[number] = held
                number += 1
            for ref in step.inputs:
                if ref >= 0 and last_use[ref] == index and ref not in kept:
                    made.pop(ref, None)
        return [made[number] for number in live]

    def failed(self, meta: TensorMeta, failure: Failure) -> Held:
        """A value without contents."""
        return Held(meta, Replicate(), [None] * len(self.fabric.lanes), failure=failure)

    def _step(
        self, op: _Op, inputs: list[Held], floats: Sequence[float], call: int, index: int
    ) -> list[Held]:
        failure = next((held.failure for held in inputs if held.failure is not None), None)
        if failure is None:
            try:
                return self._run(op, inputs, floats)
            except Exception as error:
                failure = Failure.of(error, call, index)
                self.on_failure(failure)
        return [self.failed(meta, failure) for meta in op.template.outputs]

    def _run(self, op: _Op, inputs: list[Held], floats: Sequence[float]) -> list[Held]:
        ready = op.ready.get(tuple([held.placement for held in inputs])) or self._prepare(op, inputs)
        pieces = [held.pieces for held in inputs]
        for index, new in ready.moves:
            held = inputs[index]
            pieces[index] = redistribute(held.pieces, held.meta, held.placement, new, self.fabric)
        mutates = op.template.mutates
        if ready.parts:
            outputs = self._run_parts(op, ready, inputs, floats)
        else:
            results: list[tuple[Tensor, ...]] = []
            for lane, kernel in enumerate(ready.kernels):
                own = [one[lane] for one in pieces]
                for written in mutates:
                    own[written] = own[written].clone()  # type: ignore[union-attr]
                results.append(kernel(own, floats))  # type: ignore[arg-type]
            outputs = [
                Held(meta, placement, [result[number] for result in results])
                for number, (meta, placement) in enumerate(ready.outputs)
            ]
        for number, written in enumerate(mutates):
            outputs[number].is_pinned = inputs[written].is_pinned
        for number, placement in ready.settled:
            held = outputs[number]
            held.pieces = redistribute(held.pieces, held.meta, held.placement, placement, self.fabric)
            held.placement = placement
        return outputs

    def _run_parts(self, op: _Op, ready: _Ready, inputs: list[Held], floats: Sequence[float]) -> list[Held]:
        made: list[Held] = []
        outputs: dict[int, Held] = {}
        for part, one in ready.parts:
            given = [inputs[ref] if ref >= 0 else made[-1 - ref] for ref in part.inputs]
            results = self._run(one, given, [floats[place] for place in part.floats])
            made += results
            outputs.update(zip(part.outputs, results, strict=True))
        return [outputs[number] for number in range(len(op.template.outputs))]

    def _prepare(self, op: _Op, inputs: list[Held]) -> _Ready:
        placements = tuple([held.placement for held in inputs])
        template = op.template
        row = self.choose(template, op.rows, list(placements))
        kernels: list[Kernel] = []
        if row.parts:
            pass
        elif row.kernel is None:
            kernels = [template_kernel(template, self.fabric.device)] * len(self.fabric.lanes)
        else:
            world_size, device = self.fabric.world_size, self.fabric.device
            kernels = [row.kernel(rank, world_size, device) for rank in self.fabric.lanes]
        settled = tuple(
            (number, placements[written])
            for number, written in enumerate(template.mutates)
            if row.outputs[number] != placements[written]
            and not isinstance(placements[written], Partial | Owned)
        )
        ready = op.ready[placements] = _Ready(
            kernels=kernels,
            moves=tuple(
                (index, new)
                for index, (old, new) in enumerate(zip(placements, row.inputs, strict=True))
                if old != new and not row.parts
            ),
            parts=tuple((part, _Op(part.template, (own,))) for part, own in row.parts),
            outputs=tuple(zip(template.outputs, row.outputs, strict=True)),
            settled=settled,
        )
        return ready

    def choose(self, template: Template, known: tuple[Row, ...], placements: list[Placement]) -> Row:
        """The row for inputs that are held so; where the op writes, one that leaves what is written where it
        is.
        """
        if len(known) == 1:
            return known[0]
        if template.mutates:
            staying = tuple(row for row in known if _stays(template, row, placements))
            known = staying or known
        return self._choose(known, placements, template)

    def _cheapest(self, known: tuple[Row, ...], placements: list[Placement], template: Template) -> Row:
        return choose_row(known, placements, template.inputs, self.fabric.world_size, template=template)


def _stays(template: Template, row: Row, placements: list[Placement]) -> bool:
    for number, written in enumerate(template.mutates):
        old = placements[written]
        if isinstance(old, Replicate | Shard) and row.outputs[number] != old:
            return False
    return True
