"""Where no plan says otherwise: the row that moves the fewest bytes."""

__all__ = ["choose_row"]

from collections.abc import Sequence

from outgrow.placement import Owned, Partial, Placement, Replicate, Shard
from outgrow.shard.instructions import TensorMeta
from outgrow.shard.rules import Row


def choose_row(
    rows: Sequence[Row], placements: Sequence[Placement], metas: Sequence[TensorMeta], world_size: int
) -> Row:
    """The cheapest row for inputs that are held so; the first of equals."""
    best, best_cost = rows[0], float("inf")
    for row in rows:
        cost = sum(
            _moved(meta, old, new, world_size)
            for meta, old, new in zip(metas, placements, row.inputs, strict=True)
        )
        is_shared = any(isinstance(placement, Shard) for placement in (*row.inputs, *row.outputs))
        cost += 0.0 if is_shared else 1.0
        if cost < best_cost:
            best, best_cost = row, cost
    return best


def _moved(meta: TensorMeta, old: Placement, new: Placement, world_size: int) -> float:
    if old == new or isinstance(old, Replicate):
        return 0.0
    factor = 2.0 if isinstance(old, Partial) and isinstance(new, Replicate) else 1.0
    if isinstance(old, Owned):
        factor = float(world_size)
    return 1000.0 + factor * meta.nbytes
