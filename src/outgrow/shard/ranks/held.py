"""A value as the ranks of this process hold it."""

__all__ = ["Failure", "Held", "rest_bytes"]

import traceback
from dataclasses import dataclass

from torch import Tensor

from outgrow.placement import Placement
from outgrow.shard.instructions import TensorMeta
from outgrow.shard.ranks.pieces import piece_shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a value has no contents: the op that should have made it, or made what it was to be made of,
    failed.
    """

    kind: str
    """Name of the exception's class."""
    message: str
    traceback: str
    call: int
    """`Call.number` in which it arose."""
    step: int | None
    """The step of the segment; None where it was no step."""

    @classmethod
    def of(cls, error: BaseException, call: int, step: int | None) -> "Failure":
        """What an exception says; it must be the one being handled."""
        return cls(
            kind=type(error).__name__,
            message=str(error),
            traceback=traceback.format_exc(),
            call=call,
            step=step,
        )


class Held:
    """One value: how it is placed and what each lane holds of it, or why it failed."""

    __slots__ = ("failure", "is_own", "is_pinned", "meta", "pieces", "placement")

    def __init__(
        self,
        meta: TensorMeta,
        placement: Placement,
        pieces: list[Tensor | None],
        *,
        failure: Failure | None = None,
        is_pinned: bool = False,
        is_own: bool = False,
    ) -> None:
        self.meta = meta
        self.placement = placement
        self.pieces = pieces
        """For each lane; None where the lane holds nothing (`Owned` by another, or failed)."""
        self.failure = failure
        self.is_pinned = is_pinned
        self.is_own = is_own
        """Surely nobody else uses the memory of its pieces."""


def rest_bytes(meta: TensorMeta, placement: Placement, world_size: int) -> int:
    """Bytes of a value on the rank that holds most of it: the same number on every rank, whatever it holds
    itself.
    """
    count = meta.dtype.itemsize
    for size in piece_shape(meta.shape, placement, 0, world_size):
        count *= size
    return count
