"""A segment made ready to run again and again: every choice taken, one Python function for each lane."""

__all__ = ["Program", "compile_program"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from torch import Tensor

from outgrow.placement import Owned, Placement
from outgrow.shard.instructions import Segment
from outgrow.shard.ranks.fabric import Fabric
from outgrow.shard.replay.donation import donate
from outgrow.shard.replay.emission import NAME, emit
from outgrow.shard.replay.graph import Graph
from outgrow.shard.replay.lowering import lower
from outgrow.shard.replay.passes import simplify, sink_views, start_early
from outgrow.shard.rules import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How one segment runs, for one set of live values and of inputs that die with the call."""

    inputs: tuple[Placement, ...]
    """How its inputs must be held."""
    donated: frozenset[int]
    """Inputs, as indices, whose memory it writes into: nobody else may use it."""
    outputs: tuple[Placement, ...]
    """How the live values are held, in their order."""
    is_own: tuple[bool, ...]
    """Whether each live value has its memory for itself."""
    successors: tuple[int | None, ...]
    """For each live value, the input whose new contents it is."""
    functions: tuple[Callable[..., Any], ...]
    """For each lane."""
    steps: Mapping[int, int]
    """From a line of the function to the step of the segment: for errors."""
    text: str
    """The function, for people."""
    graph: Graph
    ranks: tuple[int, ...]
    """The rank of each lane."""
    is_solo: bool = False
    """Rank 0 runs it alone; what it takes and gives is `Owned(0)`."""

    def run(
        self, lanes: Sequence[list[Tensor | None]], floats: Sequence[float]
    ) -> list[tuple[Tensor, ...] | None]:
        """For each lane, from its pieces of the inputs to those of the live values; None where it has no
        part.

        The lists are emptied.
        """
        if self.is_solo:
            return self._run_alone(lanes, floats)
        if len(self.functions) == 1:
            return [self.functions[0](lanes[0], floats)]
        runs = [function(own, floats) for function, own in zip(self.functions, lanes, strict=True)]
        sent: list[Any] = [None] * len(runs)
        while True:
            brought: list[Any] = []
            results: list[tuple[Tensor, ...] | None] = []
            for run, received in zip(runs, sent, strict=True):
                try:
                    brought.append(run.send(received))
                except StopIteration as stop:
                    results.append(stop.value)
            if results:
                return results
            sent = brought[0][0]([tensors for _, tensors in brought])

    def _run_alone(
        self, lanes: Sequence[list[Tensor | None]], floats: Sequence[float]
    ) -> list[tuple[Tensor, ...] | None]:
        results: list[tuple[Tensor, ...] | None] = [None] * len(lanes)
        for lane, own in enumerate(lanes):
            if all(piece is not None for piece in own) and self.ranks[lane] == 0:
                results[lane] = self.functions[0](own, floats)
        return results

    def failed_step(self, error: BaseException) -> int | None:
        """Which step of the segment an exception of `run` is about."""
        trace, found = error.__traceback__, None
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == NAME:
                found = self.steps.get(trace.tb_lineno)
            trace = trace.tb_next
        return found


def compile_program(
    segment: Segment,
    rows: Sequence[Row],
    inputs: Sequence[Placement],
    live: Mapping[int, Placement | None],
    dying: frozenset[int],
    fabric: Fabric,
    *,
    is_solo: bool = False,
) -> Program:
    """`rows` holds one row for each step; the rest as `lower` says. For `is_solo` everything is replicated:
    over one rank.

    Every rank makes the same program from the same arguments.
    """
    graph = lower(segment, rows, inputs, live, dying)
    simplify(graph)
    sink_views(graph)
    start_early(graph)
    donate(graph)
    emitted = emit(graph, fabric, is_solo=is_solo)
    functions = []
    for space in emitted.spaces:
        own: dict[str, Any] = dict(space)
        exec(emitted.code, own)
        function = own["run"]
        assert isinstance(function, FunctionType)
        functions.append(function)
    outputs = list(graph.outputs.values())
    return Program(
        inputs=(Owned(0),) * len(graph.inputs) if is_solo else tuple(inputs),
        donated=frozenset(graph.donated),
        outputs=tuple(Owned(0) if is_solo else graph.variables[one].placement for one in outputs),
        is_own=tuple(_is_own(graph, variable) for variable in outputs),
        successors=tuple(graph.successors.get(ref) for ref in live),
        functions=tuple(functions),
        steps=emitted.steps,
        text=emitted.text,
        graph=graph,
        ranks=fabric.lanes,
        is_solo=is_solo,
    )


def _is_own(graph: Graph, variable: int) -> bool:
    users = sum(variable in graph.variables[other].roots for other in graph.outputs.values())
    return users == 1 and graph.variables[variable].roots == {variable} and variable not in graph.inputs
