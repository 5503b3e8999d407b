"""A segment on the way to a program: nodes over variables, each assigned once, with every exchange between
ranks written out.
"""

__all__ = ["Graph", "Kind", "Node", "Variable"]

import enum
from dataclasses import dataclass, field

from outgrow.placement import Placement
from outgrow.shard.instructions import Template, TensorMeta
from outgrow.shard.rules import Row


class Kind(enum.Enum):
    """What a node does."""

    OP = "op"
    """Runs a template on what the rank holds."""
    MOVE = "move"
    """Gives one variable another placement."""
    START = "start"
    """Begins to reduce its inputs over all ranks; its output is a handle."""
    WAIT = "wait"
    """Takes a handle; its outputs are the reduced tensors."""


@dataclass(slots=True)
class Variable:
    """One tensor as the ranks hold it; several may be placements of one value."""

    number: int
    meta: TensorMeta
    """Of the whole tensor."""
    placement: Placement
    roots: frozenset[int] = frozenset()
    """Variables whose memory it may use; its own number alone where it is fresh. Filled in by `donate`."""


@dataclass(slots=True, eq=False)
class Node:
    """One thing to do. `eq=False`: a node is itself, whatever it looks like."""

    kind: Kind
    inputs: list[int]
    """Variables read, in order."""
    outputs: list[int]
    """Variables made, in order."""
    step: int
    """The step of the segment that it is done for; names it in errors."""
    template: Template | None = None
    """Of an `OP`."""
    row: Row | None = None
    """Of an `OP`."""
    floats: tuple[int, int] = (0, 0)
    """From which float of the call, and before which, an `OP` takes its own."""
    copies: list[bool] = field(default_factory=list)
    """For each place among `inputs`: its memory will be written though it is still needed, so that a copy is
    taken."""
    reduction: str = "sum"
    """Of a `START`."""


@dataclass(slots=True)
class Graph:
    """A segment for given rows and placements of its inputs."""

    variables: list[Variable]
    nodes: list[Node]
    inputs: list[int]
    """The variables of the segment's inputs."""
    outputs: dict[int, int]
    """From live local numbers to variables."""
    dying: frozenset[int]
    """Which inputs nobody needs after the call, as indices."""
    successors: dict[int, int]
    """From live local numbers to the input whose new contents they are by writes in place."""
    donated: set[int] = field(default_factory=set)
    """Inputs, as indices, whose memory is written into."""

    def variable(self, meta: TensorMeta, placement: Placement) -> Variable:
        """A new one."""
        number = len(self.variables)
        made = Variable(number, meta, placement, frozenset((number,)))
        self.variables.append(made)
        return made
