"""How the numbers of the actual run have to be put to lie as in the expected one."""

__all__ = ["Identity", "Layout", "Positions", "Step"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Positions = NDArray[np.int64]
"""Places in a tensor of known shape, counted in row-major order."""


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


@runtime_checkable
class Step(Layout, Protocol):
    """A layout of one tensor that can also say where each number comes from, without moving any."""

    def locate(self, positions: Positions) -> Positions:
        """Where in the given tensor the numbers at `positions` of the result stand."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Nothing has to be moved."""

    is_identity = True

    def apply(self, tensors: Sequence[Tensor]) -> Tensor:
        """As `Layout.apply`."""
        (tensor,) = tensors
        return tensor

    def locate(self, positions: Positions) -> Positions:
        """As `Step.locate`."""
        return positions

    def describe(self) -> str:
        """As `Layout.describe`."""
        return "identity"
