"""Fused attention: batch and heads."""

__all__ = ["attention_rows"]

from outgrow.placement import Placement, Shard
from outgrow.shard.instructions import Template
from outgrow.shard.rules.cuts import cuts, linear_rows
from outgrow.shard.rules.row import WHOLE, Row


def attention_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`_scaled_dot_product_flash_attention_for_cpu` and its gradient: everything is `[batch, heads, ...]`.

    A mask that is broadcast along the cut dim stays whole. Heads are cut where keys have as many as queries.
    """
    is_backward = "backward" in template.op
    first = template.inputs[1 if is_backward else 0].shape
    metas = (*template.inputs, *template.outputs)
    found = []
    for dim in (0, 1):
        size = first[dim]
        if not cuts(size, world_size):
            continue
        placements: list[Placement] = []
        for meta in metas:
            if len(meta.shape) <= 2 or (len(meta.shape) == 4 and meta.shape[dim] == 1):
                placements.append(WHOLE)
            elif meta.shape[dim] == size:
                placements.append(Shard(dim))
            else:
                break
        else:
            count = len(template.inputs)
            found.append(Row(tuple(placements[:count]), tuple(placements[count:])))
    return (*found, *linear_rows(template, ((0,),) if is_backward else ()))
