"""The pieces into which a dim is cut, as `torch.chunk` cuts: pure arithmetic and its use on one tensor."""

__all__ = ["piece_bounds", "piece_of", "piece_shape"]

from torch import Tensor

from outgrow.placement import Placement, Shard


def piece_bounds(size: int, rank: int, world_size: int) -> tuple[int, int]:
    """From which entry to before which entry of a dim of `size` entries rank `rank` holds; may be empty."""
    step = -(-size // world_size)
    start = min(size, rank * step)
    return start, min(size, start + step)


def piece_of(whole: Tensor, dim: int, rank: int, world_size: int) -> Tensor:
    """The rank's piece of a whole tensor; a view."""
    start, stop = piece_bounds(whole.shape[dim], rank, world_size)
    return whole.narrow(dim, start, stop - start)


def piece_shape(shape: tuple[int, ...], placement: Placement, rank: int, world_size: int) -> tuple[int, ...]:
    """The shape of what a rank holds of a tensor of `shape`; the whole shape except where it is sharded."""
    if not isinstance(placement, Shard):
        return tuple(shape)
    start, stop = piece_bounds(shape[placement.dim], rank, world_size)
    return (*shape[: placement.dim], stop - start, *shape[placement.dim + 1 :])
