"""Of every module that is no site: why."""

import pytest
import torch
from torch import nn

from outgrow.evolve.coupling.coupling import find_coupling
from outgrow.evolve.example_inputs import call_form
from outgrow.evolve.sites.absence import absence_of
from tests.evolve.sites.places import Block, Of, rows


def why(model, name):
    return absence_of(model, find_coupling(model, call_form(rows())), name)


def plain(self, given):
    return self.second(self.first(given).relu())


def tied(self, given):
    hidden = self.first(given).relu()
    return self.second((hidden @ self.first.weight) @ self.first.weight.t())


class Whole(nn.Module):
    """Weights that are whole numbers."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6, 4, dtype=torch.int8), requires_grad=False)

    def forward(self, given):
        return given @ self.weight.to(given.dtype).t()


def test_a_name_that_no_module_has_has_no_reason():
    assert why(Of(plain), "nowhere") is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "it has no weights of its own"),
        ("0", "it has no weights of its own"),
        ("1", "it has no weights"),
        ("2", "its weights are quantized or complex"),
    ],
)
def test_modules_without_weights_that_could_change(name, reason):
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 4)), nn.ReLU(), Whole(), nn.Linear(6, 2))
    assert why(model, name) == reason


def test_a_module_that_these_inputs_do_not_reach():
    expected = "these inputs do not reach it, or reach it in a way that cannot be followed"
    assert why(Of(plain), "spare") == expected


@pytest.mark.parametrize(
    ("forward", "name", "reason"),
    [
        (plain, "second", "3 x is part of what the model gives"),
        (lambda self, given: given + self.first(given).mean(), "first", "6 x no layer reads it"),
        (
            lambda self, given: self.second(self.first(given).softmax(-1)),
            "first",
            "6 x the model computes a sum, a softmax or another statistic along it",
        ),
        (
            tied,
            "first",
            "4 x comes from the inputs; 6 x first.weight both makes it and reads it (tied weights)",
        ),
    ],
    ids=["output", "unread", "softmax", "tied"],
)
def test_what_is_made_says_what_is_in_the_way(forward, name, reason):
    model = Of(forward)
    del model.spare
    assert why(model, name) == reason


def test_what_an_unreached_layer_may_read_is_named():
    expected = "6 x spare.weight may belong to it, and these inputs do not reach that"
    assert why(Of(plain), "first") == expected


def test_a_module_that_computes_along_it_is_named():
    model = nn.Sequential(nn.Linear(4, 6), nn.Softmax(-1), nn.Linear(6, 3))
    assert why(model, "0") == "6 x 1 computes a sum, a softmax or another statistic along it"


def test_frozen_weights_say_so():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).requires_grad_(False)
    assert why(model, "0") == "6 x is frozen (requires_grad is False), so that nothing new could learn"


def test_where_nothing_else_is_known_it_was_tried_and_did_not_work():
    expected = "6 x the model does not run, or gives something else, when it changes"
    assert why(Block(power=0.5), "up") == expected


def test_a_single_unit_is_nothing_that_could_be_counted():
    model = nn.Sequential(nn.Linear(4, 1), nn.ReLU(), nn.Linear(1, 3))
    assert why(model, "0") == "it makes nothing that could be counted"


def test_every_part_of_what_a_module_makes_has_its_reason_once():
    """Two thirds of the units are given out, the last is read by the layer behind."""

    class Parted(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.down = nn.Linear(4, 9), nn.Linear(3, 2)

        def forward(self, given):
            one, two, three = self.up(given).split([3, 3, 3], -1)
            return one, two, self.down(three.softmax(-1))

    assert why(Parted(), "up") == (
        "3 x is part of what the model gives; "
        "3 x the model computes a sum, a softmax or another statistic along it"
    )
