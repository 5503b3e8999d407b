"""What each rank holds of a tensor, for whoever writes down or shows how it is sharded."""

__all__ = ["fetch_pieces"]

from typing import Any

from torch import Tensor

from outgrow.placement import Partial, Placement, Replicate, Shard, parse_placement


def fetch_pieces(tensor: Any) -> list[tuple[int, str, Tensor]]:
    """`(rank, placement, piece)` for each rank that holds something; waits. Partial sums come unreduced.

    Placements are written as `torch.distributed.tensor` does: `Shard(0)`, `Replicate()`, `Partial(sum)`.
    """
    session, value = tensor._session, tensor._read_value()
    described = session.ask("describe", values=[value.number])
    placement = parse_placement(described["values"][str(value.number)]["placement"])
    if isinstance(placement, Replicate | Shard | Partial):
        ranks = range(described["world_size"])
    else:
        ranks = range(placement.rank, placement.rank + 1)
    return [(rank, _text(placement), session.fetch(value, rank=rank)) for rank in ranks]


def _text(placement: Placement) -> str:
    if isinstance(placement, Shard):
        return f"Shard({placement.dim})"
    if isinstance(placement, Partial):
        return f"Partial({placement.reduction})"
    return "Replicate()"
