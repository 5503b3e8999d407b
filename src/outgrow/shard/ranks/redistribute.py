"""From one placement to another: the only place where ranks talk on behalf of a tensor."""

__all__ = ["redistribute"]

from typing import cast

import torch
from torch import Tensor

from outgrow.placement import Owned, Partial, Placement, Replicate, Shard
from outgrow.shard.instructions import TensorMeta
from outgrow.shard.ranks.fabric import Fabric
from outgrow.shard.ranks.pieces import piece_of


def redistribute(
    pieces: list[Tensor | None], meta: TensorMeta, old: Placement, new: Placement, fabric: Fabric
) -> list[Tensor | None]:
    """What each lane holds of a tensor once it is placed as `new`; a piece may share memory with the old one.

    The sum of bools is their `or`, as torch adds them. A replicated tensor becomes `Partial("sum")` as itself
    on rank 0 and zeros elsewhere, `Partial` of `avg`, `max` or `min` as itself everywhere. Which collectives
    run depends on the placements and the dtype alone, never on the rank.
    """
    if old == new:
        return pieces
    if isinstance(old, Owned):
        return redistribute(
            list(fabric.broadcast(pieces, old.rank, meta.shape, meta.dtype)), meta, Replicate(), new, fabric
        )
    held = cast("list[Tensor]", pieces)
    if isinstance(old, Replicate):
        return _from_replicated(held, new, fabric)
    if isinstance(old, Shard):
        if isinstance(new, Shard):
            return list(fabric.all_to_all(held, old.dim, new.dim, meta.shape[old.dim]))
        return redistribute(
            list(fabric.all_gather(held, old.dim, meta.shape[old.dim])), meta, Replicate(), new, fabric
        )
    if isinstance(new, Shard):
        return [piece.to(meta.dtype) for piece in fabric.reduce_scatter(held, new.dim, old.reduction)]
    is_exact = meta.dtype.is_floating_point or meta.dtype.is_complex
    if isinstance(new, Partial) and {old.reduction, new.reduction} == {"avg", "sum"} and is_exact:
        scale = fabric.world_size if new.reduction == "avg" else 1 / fabric.world_size
        return [piece * scale for piece in held]
    # The average of whole numbers is whole again.
    whole = [piece.to(meta.dtype) for piece in fabric.all_reduce(held, old.reduction)]
    return _from_replicated(whole, new, fabric)


def _from_replicated(pieces: list[Tensor], new: Placement, fabric: Fabric) -> list[Tensor | None]:
    lanes = list(zip(fabric.lanes, pieces, strict=True))
    if isinstance(new, Shard):
        return [piece_of(piece, new.dim, rank, fabric.world_size) for rank, piece in lanes]
    if isinstance(new, Owned):
        return [piece if rank == new.rank else None for rank, piece in lanes]
    if isinstance(new, Replicate):
        return list(pieces)
    if new.reduction == "sum":
        return [piece if rank == 0 else torch.zeros_like(piece) for rank, piece in lanes]
    return list(pieces)
