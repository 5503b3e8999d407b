"""Which places are alike, and where a number of the one stands in the other."""

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.evolve.coupling.coupling import find_coupling
from outgrow.evolve.example_inputs import call_form
from outgrow.evolve.sites.signature import moved, signature
from outgrow.evolve.sites.site import Coupled, Site, SizeAttribute
from tests.evolve.sites.places import Block, blocks, leaf_of, rows


def signatures(model, example=None):
    """By name of the site that can be pruned."""
    example = rows() if example is None else example
    coupling = find_coupling(model, call_form(example))
    found = {}
    for site in evolve.sites(model, example, kind="prune"):
        first = site.coupled[0]
        leaf = next(
            one
            for one in coupling.weights[first.weight][first.dim].leaves()
            if {(place.weight, place.dim) for place in coupling.occurrences(one)}
            == {(one.weight, one.dim) for one in site.coupled}
        )
        found[site.name] = signature(model, site, coupling, leaf)
    return found


def test_places_of_equal_blocks_are_alike_and_others_are_not():
    model = nn.Sequential(*blocks({}, {}), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4), nn.Linear(4, 2))
    found = signatures(model)
    assert found["0.up"] == found["1.up"]
    # Of one size, but in layers that stand in no block.
    assert found["2"] != found["0.up"]
    assert len({found[name] for name in ("0.up", "1.down", "2", "4")}) == 4


@pytest.mark.parametrize(
    "other",
    [
        nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 4)),
        nn.Sequential(nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 4)),
        nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 4)),
        nn.Sequential(nn.Linear(4, 6), nn.Softmax(-1), nn.Linear(6, 4)),
    ],
    ids=["size", "bias", "norm", "softmax"],
)
def test_a_difference_in_what_hangs_together_makes_places_unlike(other):
    plain = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4))
    found = signatures(nn.Sequential(plain, other, nn.Linear(4, 2)))
    assert found["0.0"] != found["1.0"]


def test_places_in_which_a_unit_is_something_else_are_unlike():
    """Both dims have six channels: of three units with two each, and of two with three each."""

    class Grouped(nn.Module):
        def __init__(self, groups):
            super().__init__()
            self.up, self.down, self.groups = nn.Linear(4, 6), nn.Linear(6, 4), groups

        def forward(self, given):
            units = self.up(given).view(len(given), self.groups, -1)
            return self.down((units * units.softmax(-1)).flatten(1))

    model = nn.Sequential(Grouped(2), Grouped(3), Grouped(3))
    coupling = find_coupling(model, call_form(rows()))
    found = []
    for block in range(3):
        leaf = coupling.weights[f"{block}.up.weight"][0].leaves()[0]
        coupled = tuple(
            Coupled(weight=one.weight, dim=one.dim, role="in" if "in" in one.roles else "out")
            for one in coupling.occurrences(leaf)
        )
        site = Site(name=f"{block}.up", kind="prune", width=6, step=1, methods=(), coupled=coupled)
        found.append(signature(model, site, coupling, leaf))
    assert found[0] != found[1]
    assert found[1] == found[2]


def of(*weights):
    coupled = tuple(Coupled(weight=weight, dim=0, role="out") for weight in weights)
    return Site(name=weights[0], kind="widen", width=6, step=1, methods=(), coupled=coupled)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("layers.0.up", "layers.7.up"),
        ("layers.0.deep.down", "layers.7.deep.down"),
        ("layers.0", "layers.7"),
        ("layers", "layers"),
        ("", ""),
        ("layers.0.gate", "layers.7.gate"),
        ("layers.0.deep.gate.part", "layers.7.deep.gate.part"),
        ("layers.1.gate", "layers.1.gate"),
        ("other", "other"),
    ],
    ids=[
        "first",
        "second",
        "block",
        "all blocks",
        "model",
        "beside",
        "beside the second",
        "another block",
        "elsewhere",
    ],
)
def test_a_number_is_in_the_module_that_stands_to_the_weights_as_the_known_one_does(module, expected):
    one = of("layers.0.up.weight", "layers.0.deep.down.weight")
    other = of("layers.7.up.weight", "layers.7.deep.down.weight")
    attribute = SizeAttribute(module=module, path="sizes[1]", units=2, constant=3)
    (found,) = moved([attribute], one, other)
    assert found == SizeAttribute(module=expected, path="sizes[1]", units=2, constant=3)


def test_looking_changes_nothing():
    model = Block()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    coupling, leaf = leaf_of(model, "up.weight")
    site = Site(name="up", kind="widen", width=6, step=1, methods=("split",))
    assert signature(model, site, coupling, leaf) == signature(model, site, coupling, leaf)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
