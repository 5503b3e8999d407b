"""All ranks in one process: the cheap oracle, and collectives as plain arithmetic."""

__all__ = ["Done", "SimulatedFabric"]

import functools

import torch
from torch import Tensor

from outgrow.shard.ranks.pieces import piece_of


class Done:
    """Something that was under way and is over."""

    def wait(self) -> None:
        """See `Pending.wait`."""


class SimulatedFabric:
    """Every rank is a lane of this process."""

    def __init__(self, world_size: int) -> None:
        self.world_size = world_size
        self.lanes = tuple(range(world_size))
        self.device = torch.device("cpu")

    def all_reduce(self, pieces: list[Tensor], reduction: str) -> list[Tensor]:
        """See `Fabric.all_reduce`; adds in the order of the ranks."""
        whole = _reduce(pieces, reduction)
        return [whole for _ in pieces]

    def all_gather(self, pieces: list[Tensor], dim: int, size: int) -> list[Tensor]:
        """See `Fabric.all_gather`."""
        whole = torch.cat(pieces, dim)
        return [whole for _ in pieces]

    def reduce_scatter(self, pieces: list[Tensor], dim: int, reduction: str) -> list[Tensor]:
        """See `Fabric.reduce_scatter`."""
        whole = _reduce(pieces, reduction)
        return [piece_of(whole, dim, rank, self.world_size).contiguous() for rank in self.lanes]

    def all_to_all(self, pieces: list[Tensor], from_dim: int, to_dim: int, size: int) -> list[Tensor]:
        """See `Fabric.all_to_all`."""
        whole = torch.cat(pieces, from_dim)
        return [piece_of(whole, to_dim, rank, self.world_size).contiguous() for rank in self.lanes]

    def start_all_reduce(self, buffers: list[Tensor], reduction: str) -> Done:
        """See `Fabric.start_all_reduce`; done at once."""
        whole = _reduce(buffers, reduction)
        for buffer in buffers:
            buffer.copy_(whole)
        return Done()

    def broadcast(
        self, pieces: list[Tensor | None], source: int, shape: tuple[int, ...], dtype: torch.dtype
    ) -> list[Tensor]:
        """See `Fabric.broadcast`."""
        whole = pieces[source]
        assert whole is not None
        return [whole for _ in pieces]


def _reduce(pieces: list[Tensor], reduction: str) -> Tensor:
    """In the order of the ranks; sums of 16-bit floats in 32 bits, rounded once, as between processes."""
    if reduction in ("max", "min"):
        return functools.reduce(torch.maximum if reduction == "max" else torch.minimum, pieces)
    dtype = pieces[0].dtype
    is_narrow = dtype.is_floating_point and dtype.itemsize < 4
    whole = pieces[0].float() if is_narrow else pieces[0]
    for piece in pieces[1:]:
        whole = whole + piece
    whole = whole.to(dtype)
    return whole / len(pieces) if reduction == "avg" else whole
