"""How the numbers of the actual run have to be put to lie as in the expected one."""

__all__ = ["Identity", "Layout"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Layout(Protocol):
    """A lossless map from the actual tensors, one for each rank, to the shape of the expected one."""

    @property
    def is_identity(self) -> bool:
        """Whether nothing is moved: one rank, equal shapes, equal order."""
        ...

    def apply(self, tensors: Sequence[Tensor]) -> Tensor:
        """The actual tensors, one for each rank, as one of the expected shape: a view where that is
        possible."""
        ...

    def describe(self) -> str:
        """For readers: `transpose(0, 1)`, `[76, 8, 64] -> [1, 8, 76, 64]: permute(1, 0, 2)`, `concatenate
        4 ranks along dim 1`."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Nothing has to be moved."""

    is_identity = True

    def apply(self, tensors: Sequence[Tensor]) -> Tensor:
        """As `Layout.apply`."""
        (tensor,) = tensors
        return tensor

    def describe(self) -> str:
        """As `Layout.describe`."""
        return "identity"
