"""What the client sends instead of running it: pure instructions on values that never change.

A *value* is an immutable tensor with a number. An instruction reads values and makes new ones; an op that
writes into its arguments makes the new contents as a new value. So a run is a list of instructions that can
be repeated, planned and replayed.
"""

__all__ = ["FLOAT", "INPUT", "Marker", "Segment", "Step", "Template", "TensorMeta", "fill", "walk"]

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch


class TensorMeta(NamedTuple):
    """What a tensor looks like to the client, whoever holds it."""

    shape: tuple[int, ...]
    """Sizes, in elements."""
    stride: tuple[int, ...]
    """Strides as torch gives them on one device, in elements. A rank may hold it in another order."""
    dtype: torch.dtype
    """Of the elements."""

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def nbytes(self) -> int:
        """Bytes of its elements, held densely."""
        return self.elements * self.dtype.itemsize


class Marker(enum.Enum):
    """A hole in a template's arguments that each step fills anew."""

    INPUT = "input"
    """The next input tensor."""
    FLOAT = "float"
    """The next Python float: learning rates change, so they are no part of the template."""


INPUT = Marker.INPUT
FLOAT = Marker.FLOAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """An op with everything that does not change from one call to the next."""

    op: str
    """Its qualified name, `aten.add.Tensor`; ours start with `outgrow.`."""
    args: tuple[Any, ...] = ()
    """Positional arguments; tensors and floats are `INPUT` and `FLOAT`: args, then kwargs, depth first."""
    kwargs: tuple[tuple[str, Any], ...] = ()
    """Keyword arguments, by name in the order given. Never a device: it is the rank's own."""
    inputs: tuple[TensorMeta, ...] = ()
    """Of every `INPUT`, in order."""
    outputs: tuple[TensorMeta, ...] = ()
    """Of the new contents of each of `mutates`, in order, then of each tensor that the op makes."""
    mutates: tuple[int, ...] = ()
    """Which inputs the op writes into, as indices into `inputs`."""


class Step(NamedTuple):
    """One instruction within a segment."""

    template: int
    """Index into `Segment.templates`."""
    inputs: tuple[int, ...]
    """Local numbers: 0 and up were made by earlier steps, -1-k is the k-th value given to the segment."""
    outputs: int
    """How many values it makes; they get the next local numbers."""
    floats: int
    """How many floats it takes from the list that comes with each call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of instructions between two points where the client waits or a training step ends."""

    templates: tuple[Template, ...]
    """Each one once."""
    steps: tuple[Step, ...]
    """In the order of the program."""
    inputs: tuple[TensorMeta, ...]
    """Of the values given to it."""

    def values(self) -> tuple[TensorMeta, ...]:
        """Metas of the values that its steps make, by local number."""
        return tuple(meta for step in self.steps for meta in self.templates[step.template].outputs)


def walk(arguments: Any) -> Iterator[Any]:
    """Every leaf of nested tuples and lists, depth first."""
    if isinstance(arguments, (tuple, list)) and not isinstance(arguments, torch.Size):
        for argument in arguments:
            yield from walk(argument)
    else:
        yield arguments


def fill(arguments: Any, next_input: Callable[[], Any], next_float: Callable[[], float]) -> Any:
    """The arguments with their holes filled, in the order that `Template.args` gives. Lists are tuples there:
    templates are hashed."""
    if arguments is INPUT:
        return next_input()
    if arguments is FLOAT:
        return next_float()
    if isinstance(arguments, tuple):
        return tuple(fill(argument, next_input, next_float) for argument in arguments)
    return arguments
