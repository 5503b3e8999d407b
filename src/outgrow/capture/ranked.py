"""Tensors of one process that several ranks hold, each a piece of them."""

__all__ = ["HeldByRanks", "RankPiece", "rank_pieces"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class HeldByRanks(Protocol):
    """A tensor that can show what each rank holds of it."""

    def rank_pieces(self) -> Sequence[tuple[int, str, Tensor]]:
        """`(rank, placement, piece)` for each rank that holds something.

        Placements are `Shard(0)`, `Replicate()`, `Partial(sum)`; pieces are plain tensors on the CPU that
        nobody writes into.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RankPiece:
    """What is written down of a tensor for one rank."""

    tensor: Tensor
    """The values."""
    rank: int | None = None
    """Which rank holds them; None where it is the process that records."""
    placement: str | None = None
    """How the ranks hold the whole; None where the tensor itself is asked."""


def rank_pieces(tensor: Tensor) -> list[RankPiece]:
    """The pieces of a tensor that several ranks hold, else the tensor itself as the only one."""
    if not isinstance(tensor, HeldByRanks):
        return [RankPiece(tensor)]
    pieces = tensor.rank_pieces()
    if len(pieces) == 1:  # one rank has it all: nothing is to be put together
        return [RankPiece(pieces[0][2])]
    return [RankPiece(piece, rank, placement) for rank, placement, piece in pieces]
