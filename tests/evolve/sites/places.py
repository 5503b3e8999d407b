"""Models of blocks that look alike, and the places in them."""

import torch
from torch import Tensor, nn

from outgrow.evolve.coupling.coupling import Coupling, find_coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.example_inputs import call_form


class Block(nn.Module):
    """Six units between two layers; numbers decide whether it works with more or fewer of them.

    `power`: the units are divided by how many there are, to that power. `size`: what they are viewed as.
    `is_share`: a softmax over the units, which no growth leaves as it was.
    """

    def __init__(self, *, power: float = 0.0, size: int = -1, is_share: bool = False) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 6), nn.Linear(6, 4)
        self.power, self.size, self.is_share = power, size, is_share

    def forward(self, rows: Tensor) -> Tensor:
        hidden = self.up(rows).relu()
        hidden = hidden / hidden.shape[-1] ** self.power
        hidden = hidden.softmax(-1) if self.is_share else hidden
        return self.down(hidden.view(len(rows), self.size))


class Of(nn.Module):
    """Layers `first` (4 to 6 units), `second` and `spare` (6 to 3), and a function that uses them."""

    def __init__(self, forward) -> None:
        super().__init__()
        self.first, self.second, self.spare = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 3)
        self._forward = forward

    def forward(self, rows):
        return self._forward(self, rows)


class Beside(nn.Sequential):
    """The sum of what its modules give for the same: none hides behind another."""

    def forward(self, rows: Tensor) -> Tensor:
        return torch.stack([module(rows) for module in self]).sum(0)


def blocks(*each: dict) -> Beside:
    """A block for each set of options, side by side."""
    torch.manual_seed(0)
    return Beside(*(Block(**options) for options in each))


def rows() -> Tensor:
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


def leaf_of(model: nn.Module, weight: str, dim: int = 0, example: Tensor | None = None):
    """The coupling of a model, and the one leaf of a dim of a weight."""
    coupling: Coupling = find_coupling(model, call_form(rows() if example is None else example))
    leaf: Extent
    (leaf,) = coupling.weights[weight][dim].leaves()
    return coupling, leaf
