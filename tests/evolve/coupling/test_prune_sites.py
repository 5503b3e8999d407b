"""Units can go only where the analysis is right about them."""

import torch
from torch import nn

from outgrow import evolve


class Scaled(nn.Module):
    """Its output depends on how many units there are, which no extent says."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, values):
        hidden = torch.relu(self.up(values))
        return self.down(hidden / hidden.shape[-1] ** 0.5)


def test_a_place_that_cannot_grow_as_it_should_is_not_listed_for_pruning_either():
    model, values = Scaled(), torch.randn(5, 4)
    assert evolve.sites(model, values, kind="widen") == []
    assert evolve.sites(model, values, kind="prune") == []


def test_a_plain_place_is_listed_for_both():
    model, values = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), torch.randn(5, 4)
    assert [site.name for site in evolve.sites(model, values, kind="prune")] == ["0"]
