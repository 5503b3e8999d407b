"""One way to run an op on pieces: what each rank must hold of its inputs, and then holds of its outputs."""

__all__ = ["SUM", "WHOLE", "Part", "Row", "RowKernel", "replicated"]

from collections.abc import Callable
from typing import Final, NamedTuple

import torch

from outgrow.placement import Partial, Placement, Replicate
from outgrow.shard.instructions import Template
from outgrow.shard.ranks.kernels import Kernel

RowKernel = Callable[[int, int, torch.device], Kernel]
"""From `(rank, world_size, device)` to what that rank runs. Pure; may be called again for the same rank."""

WHOLE: Final = Replicate()
SUM: Final = Partial("sum")


class Part(NamedTuple):
    """One op of several that do what one does."""

    template: Template
    inputs: tuple[int, ...]
    """Inputs of the whole op, by number; -1-k is the k-th value that earlier parts made."""
    outputs: tuple[int, ...]
    """Which outputs of the whole op its outputs are; -1 for those that only later parts need."""
    floats: tuple[int, ...]
    """Floats of the whole op, by number."""


class Row(NamedTuple):
    """If the inputs are held so and each rank runs the kernel on its pieces, the outputs are held so.

    Outputs may share memory with inputs (views do); a kernel writes only into inputs that the template
    mutates, and may give a new tensor for these, too.
    """

    inputs: tuple[Placement, ...]
    """For each of `Template.inputs`."""
    outputs: tuple[Placement, ...]
    """For each of `Template.outputs`."""
    kernel: RowKernel | None = None
    """None for the op with the template's own arguments."""
    parts: tuple[tuple[Part, "Row"], ...] = ()
    """Where ranks must talk in the middle of the op: several ops instead of the kernel, each by a row of its
    own, values moved between them as anywhere else. The parts write into nothing; their floats are
    neighbours.
    """


def replicated(template: Template) -> Row:
    """Every rank does all the work: right for every op."""
    return Row((WHOLE,) * len(template.inputs), (WHOLE,) * len(template.outputs))
