"""Which numbers beside the weights are tried as sizes of a leaf, and what each of them is made of."""

import torch
from torch import nn

from outgrow.evolve.coupling.coupling import find_coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.size_attributes import candidate_attributes, units_and_constant
from outgrow.evolve.example_inputs import call_form


class Settings:
    """Not a module, and no part of one."""

    def __init__(self, **numbers):
        vars(self).update(numbers)


class Heads(nn.Module):
    """Two groups of three heads of four; numbers of all kinds beside them."""

    def __init__(self, **attributes):
        super().__init__()
        self.up, self.down = nn.Linear(5, 24), nn.Linear(24, 5)
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        h = self.up(x).view(len(x), 2, 3, 4)
        return self.down((h * h.softmax(-1)).flatten(1))


def leaves(model, weight, x):
    coupling = find_coupling(model, call_form(x))
    return coupling, coupling.weights[weight][0].leaves()


def found(model, weight, place, x=None):
    """Module, path, units and constant of each candidate, in order."""
    coupling, all_leaves = leaves(model, weight, torch.randn(2, 5) if x is None else x)
    return [
        (one.module, one.path, one.units, one.constant)
        for one in candidate_attributes(model, coupling, all_leaves[place])
    ]


def test_units_and_constant_of_sums_and_products():
    leaf, fixed = Extent(3), Extent(5)
    assert units_and_constant(leaf, leaf) == (1, 0)
    assert units_and_constant(fixed, leaf) == (0, 5)
    padded, whole = Extent(8), Extent(16)
    padded.refine("sum", (fixed, leaf))
    whole.refine("product", (padded, Extent(2)))
    assert units_and_constant(padded, leaf) == (1, 5)
    assert units_and_constant(whole, leaf) == (2, 10)
    other = Extent(6)
    other.refine("product", (Extent(2), Extent(3)))
    assert units_and_constant(other, leaf) == (0, 6)


def test_every_product_of_neighbouring_factors_is_a_size():
    numbers = {
        "groups": 2,
        "heads": 3,
        "width": 4,
        "all_heads": 6,
        "group": 12,
        "whole": 24,
        "other": 7,
        "one": 1,
    }
    model = Heads(**numbers)
    of_heads = {(path, units, constant) for _, path, units, constant in found(model, "up.weight", 1)}
    assert of_heads == {("heads", 1, 0), ("all_heads", 2, 0), ("group", 4, 0), ("whole", 8, 0)}
    of_groups = {(path, units, constant) for _, path, units, constant in found(model, "up.weight", 0)}
    assert of_groups == {("groups", 1, 0), ("all_heads", 3, 0), ("whole", 12, 0)}
    of_width = {(path, units, constant) for _, path, units, constant in found(model, "up.weight", 2)}
    assert of_width == {("width", 1, 0), ("group", 3, 0), ("whole", 6, 0)}


def test_numbers_are_found_in_tuples_lists_and_settings_and_nowhere_else():
    model = Heads(
        sizes=(7, 3, 3.0, True),
        more=[3, "3", [3]],
        by_name={"heads": 3},
        settings=Settings(heads=3, deep=Settings(heads=3), each=(9, 3)),
        flag=True,
        ratio=3.0,
        kind=Settings,
        call=lambda: 3,
        tensor=torch.tensor(3),
        part=nn.Identity(),
        dtype=torch.float32,
    )
    assert [path for _, path, _, _ in found(model, "up.weight", 1)] == [
        "sizes[1]",
        "more[0]",
        "settings.heads",
        "settings.each[1]",
    ]


def test_settings_that_modules_elsewhere_hold_are_left_alone():
    shared, own = Settings(heads=3), Settings(heads=3)
    model = nn.Sequential(Heads(shared=shared, own=own), nn.Linear(5, 2))
    model[0].up.own = own  # a part of the same
    assert [path for _, path, _, _ in found(model, "0.up.weight", 1)] == ["shared.heads", "own.heads"]
    model[1].settings = shared
    assert [path for _, path, _, _ in found(model, "0.up.weight", 1)] == ["own.heads"]


def test_only_modules_around_and_within_the_weights_are_asked_and_the_nearest_come_first():
    model = nn.Sequential(nn.Sequential(Heads(heads=3)), nn.Sequential(Heads(heads=3)), nn.Linear(5, 2))
    model.heads, model[0].heads, model[1].heads = 3, 3, 3
    model[0][0].up.heads = 3  # torch's own layers say their sizes themselves
    model[0][0].later = nn.Identity()
    model[0][0].later.heads = 3
    assert found(model, "0.0.up.weight", 1) == [
        ("0.0", "heads", 1, 0),
        ("0", "heads", 1, 0),
        ("0.0.later", "heads", 1, 0),
        ("", "heads", 1, 0),
    ]


def test_at_most_sixteen_are_tried():
    model = Heads(**{f"number{place}": 3 for place in range(20)})
    assert [path for _, path, _, _ in found(model, "up.weight", 1)] == [
        f"number{place}" for place in range(16)
    ]


def test_a_number_that_is_a_size_in_two_ways_is_tried_in_both():
    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.down, self.size = nn.Linear(5, 3), nn.Linear(6, 5), 6

        def forward(self, x):
            return self.down(torch.cat([self.up(x), torch.zeros(len(x), 3)], 1)) + self.other(self.up(x))

    model = Padded()
    model.other = nn.Linear(3, 5)
    model.twice, model.back = nn.Linear(6, 5), nn.Linear(5, 5)
    forward = model.forward
    model.forward = lambda x: forward(x) + model.twice(torch.cat([model.up(x), model.up(x)], 1))
    assert found(model, "up.weight", 0) == [("", "size", 1, 3), ("", "size", 2, 0)]
