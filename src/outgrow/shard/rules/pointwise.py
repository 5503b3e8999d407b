"""Ops that make each element of the result from the elements at the same place."""

__all__ = ["POINTWISE_OPS", "pointwise_rows"]

from outgrow.placement import Placement, Replicate, Shard
from outgrow.shard.instructions import Template
from outgrow.shard.rules.row import Row

POINTWISE_OPS = ("aten.add.Tensor", "aten.mul.Tensor", "aten.relu.default", "aten.add_.Tensor")
"""Qualified names; inputs broadcast."""


def pointwise_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """One row for each dim of the result that the ranks can cut evenly."""
    shape = template.outputs[0].shape
    found = []
    for dim, size in enumerate(shape):
        if size < world_size or size % world_size:
            continue
        inputs: list[Placement] = []
        for meta in template.inputs:
            own = dim - (len(shape) - len(meta.shape))
            inputs.append(Shard(own) if own >= 0 and meta.shape[own] == size else Replicate())
        found.append(Row(tuple(inputs), (Shard(dim),) * len(template.outputs)))
    return tuple(found)
