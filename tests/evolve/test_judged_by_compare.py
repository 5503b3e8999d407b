"""`compare` is the judge: a child gives what its parent gave, and a change that is not exact is found."""

import copy

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.capture import record
from outgrow.compare import compare


class Residual(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, values):
        return values + self.down(torch.relu(self.up(values)))


def network():
    torch.manual_seed(3)
    stem = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
    )
    return nn.Sequential(stem, nn.Linear(32, 24), Residual(24, 40), Residual(24, 40), nn.Linear(24, 5)).eval()


def verdict(parent, child, images, tmp_path, only):
    with torch.no_grad():
        with record(parent, tmp_path / "parent"):
            parent(images)
        with record(child, tmp_path / "child"):
            child(images)
    with compare(expected=tmp_path / "parent", actual=tmp_path / "child", only=only) as comparison:
        return comparison.verdict


@pytest.mark.parametrize("place", range(4))
def test_parent_and_child_match(place, tmp_path):
    parent, images = network(), torch.randn(4, 3, 12, 12)
    child = copy.deepcopy(parent)
    site = evolve.sites(child, images)[place]
    evolve.widen(child, site, by=2 * site.step)
    assert verdict(parent, child, images, tmp_path, "4.output*") == "match"


def test_a_child_that_was_tampered_with_differs(tmp_path):
    parent, images = network(), torch.randn(4, 3, 12, 12)
    child = copy.deepcopy(parent)
    evolve.widen(child, evolve.sites(child, images)[0], by=2)
    with torch.no_grad():
        child[3].down.weight[0, 0] += 0.5
    assert verdict(parent, child, images, tmp_path, "*") == "differ"
