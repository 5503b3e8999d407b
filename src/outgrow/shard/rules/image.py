"""Ops on images whose tensors have different shapes: sampling at places, patches, shuffled pixels."""

__all__ = ["batch_rows", "sampling_backward_rows", "sampling_rows"]

from outgrow.placement import Placement, Shard
from outgrow.shard.instructions import Template
from outgrow.shard.rules.arguments import bound
from outgrow.shard.rules.cuts import cuts, linear_rows
from outgrow.shard.rules.row import SUM, WHOLE, Row


def batch_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`im2col`, `col2im`, `pixel_shuffle`, `pixel_unshuffle`: the batch."""
    old, new = template.inputs[0].shape, template.outputs[0].shape
    last = 2 if "col" in template.op else 3
    # Unbatched patches have a dim less.
    leading = len(new) - 3 if "col2im" in template.op else len(old) - 3
    found = [
        Row((Shard(dim),), (Shard(dim),))
        for dim in range(max(leading, 0))
        if len(old) >= last and old[dim] == new[dim] and cuts(old[dim], world_size)
    ]
    return (*found, *linear_rows(template, ((0,),)))


def sampling_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`grid_sampler_2d`, `grid_sampler_3d`: the batch; the channels, each rank looking at all places."""
    shape = template.inputs[0].shape
    found = []
    if cuts(shape[0], world_size):
        found.append(Row((Shard(0), Shard(0)), (Shard(0),)))
    if cuts(shape[1], world_size):
        found.append(Row((Shard(1), WHOLE), (Shard(1),)))
    return (*found, *linear_rows(template, ((0,),)))


def sampling_backward_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """Their gradients; the one of the places is a partial sum where channels are cut."""
    shape = template.inputs[1].shape
    wanted = bound(template)["output_mask"]
    count = len(template.outputs)
    # torch gives both on some paths, whatever is wanted.
    kinds = [True, True] if count == 2 else [bool(wanted[0]), not wanted[0]]
    found = []
    if cuts(shape[0], world_size):
        found.append(Row((Shard(0),) * 3, (Shard(0),) * count))
    if cuts(shape[1], world_size):
        both: tuple[Placement, ...] = (Shard(1), SUM)
        outputs = tuple(one for one, is_given in zip(both, kinds, strict=True) if is_given)
        found.append(Row((Shard(1), Shard(1), WHOLE), outputs))
    return (*found, *linear_rows(template, ((0,),)))
