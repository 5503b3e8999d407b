"""Where numbers that are shown stand in the stored tensors."""

__all__ = ["Place"]

from dataclasses import dataclass

import numpy as np

from outgrow.compare.layout.layout import Positions


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Of each number the rank and the position in that rank's own tensor."""

    ranks: Positions
    positions: Positions
    """Counted in row-major order."""
    shapes: tuple[tuple[int, ...], ...]
    """Of each rank's tensor."""
    summands: int = 1
    """How many ranks' numbers were added up; `ranks` and `positions` then tell the first."""

    def indices(self) -> list[tuple[int, ...]]:
        """Of each number the index in its rank's tensor."""
        if len(set(self.shapes)) == 1:
            return _indices(self.positions, self.shapes[0])
        found: list[tuple[int, ...]] = [()] * len(self.positions)
        for rank, shape in enumerate(self.shapes):
            own = np.flatnonzero(self.ranks == rank)
            for place, index in zip(own.tolist(), _indices(self.positions[own], shape), strict=True):
                found[place] = index
        return found


def _indices(positions: Positions, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    if not shape:
        return [()] * len(positions)
    if not len(positions):
        return []
    axes = np.unravel_index(positions, shape)
    return list(zip(*(axis.tolist() for axis in axes), strict=True))
