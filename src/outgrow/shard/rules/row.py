"""One way to run an op on pieces: what each rank must hold of its inputs, and what it then holds of the outputs."""

__all__ = ["Row", "replicated"]

from collections.abc import Callable
from typing import NamedTuple

from outgrow.placement import Placement, Replicate
from outgrow.shard.instructions import Template
from outgrow.shard.ranks.kernels import Kernel


class Row(NamedTuple):
    """If the inputs are held so and each rank runs the kernel on its pieces, the outputs are held so."""

    inputs: tuple[Placement, ...]
    """For each of `Template.inputs`."""
    outputs: tuple[Placement, ...]
    """For each of `Template.outputs`."""
    kernel: Callable[[int, int], Kernel] | None = None
    """From `(rank, world_size)` to what that rank runs; None for the op with the template's own arguments."""


def replicated(template: Template) -> Row:
    """Every rank does all the work: right for every op."""
    return Row((Replicate(),) * len(template.inputs), (Replicate(),) * len(template.outputs))
