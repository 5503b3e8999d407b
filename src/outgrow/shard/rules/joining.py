"""Ops that join tensors."""

__all__ = ["cat_rows", "stack_rows"]

from outgrow.placement import Shard
from outgrow.shard.instructions import Template
from outgrow.shard.rules.arguments import bound, position
from outgrow.shard.rules.cuts import cuts, linear_rows
from outgrow.shard.rules.row import Row


def cat_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`cat`: every dim but the one that is joined."""
    out = template.outputs[0].shape
    dim = position(bound(template).get("dim", 0), len(out))
    count = len(template.inputs)
    if any(len(meta.shape) != len(out) for meta in template.inputs):
        return ()
    found = [
        Row((Shard(other),) * count, (Shard(other),))
        for other, size in enumerate(out)
        if other != dim and cuts(size, world_size)
    ]
    return (*found, *linear_rows(template, (tuple(range(count)),)))


def stack_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`stack`: every old dim."""
    shape = template.inputs[0].shape
    dim = position(bound(template).get("dim", 0), len(shape) + 1)
    count = len(template.inputs)
    found = [
        Row((Shard(other),) * count, (Shard(other + (other >= dim)),))
        for other, size in enumerate(shape)
        if cuts(size, world_size)
    ]
    return (*found, *linear_rows(template, (tuple(range(count)),)))
