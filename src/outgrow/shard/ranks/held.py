"""A value as the ranks of this process hold it."""

__all__ = ["Failure", "Held"]

from dataclasses import dataclass

from torch import Tensor

from outgrow.placement import Placement
from outgrow.shard.instructions import TensorMeta


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a value has no contents: the op that should have made it, or made what it was to be made of, failed."""

    kind: str
    """Name of the exception's class."""
    message: str
    traceback: str
    call: int
    """`Call.number` in which it arose."""
    step: int | None
    """The step of the segment; None where it was no step."""


class Held:
    """One value: how it is placed and what each lane holds of it, or why it failed."""

    __slots__ = ("failure", "is_pinned", "meta", "pieces", "placement")

    def __init__(
        self,
        meta: TensorMeta,
        placement: Placement,
        pieces: list[Tensor | None],
        *,
        failure: Failure | None = None,
        is_pinned: bool = False,
    ) -> None:
        self.meta = meta
        self.placement = placement
        self.pieces = pieces
        """For each lane; None where the lane holds nothing (`Owned` by another, or failed)."""
        self.failure = failure
        self.is_pinned = is_pinned
