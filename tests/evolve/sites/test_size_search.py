"""Which numbers are changed together with a leaf: the fewest that work, in a fixed order of trying."""

import itertools

import pytest
import torch
from torch import nn

from outgrow.evolve.sites.size_search import find_attributes
from tests.evolve.sites.places import leaf_of, rows


class Numbers(nn.Module):
    """Six units, and numbers of that size beside the layers."""

    def __init__(self, **numbers):
        super().__init__()
        self.up, self.down = nn.Linear(4, 6), nn.Linear(6, 3)
        vars(self).update(numbers)

    def forward(self, given):
        return self.down(self.up(given).relu())


class Tried:
    """Answers for certain sets of numbers, and keeps what it was asked."""

    def __init__(self, is_right):
        self.is_right, self.asked = is_right, []

    def __call__(self, attributes):
        self.asked.append(tuple(one.path for one in attributes))
        return self.is_right(set(self.asked[-1]))


def search(is_right, model=None, **more):
    """Paths of what was found, and the sets of paths that were tried."""
    model = model or Numbers(a=6, b=6, c=6)
    coupling, leaf = leaf_of(model, "up.weight")
    tried = Tried(is_right)
    found = find_attributes(model, coupling, leaf, tried, **more)
    return found and [one.path for one in found], tried.asked, found


def test_what_works_as_it_is_needs_no_number():
    _, asked, found = search(lambda paths: True)
    assert found == ()
    assert asked == [()]


def test_where_only_rounding_is_in_the_way_no_number_is_tried():
    _, asked, found = search(lambda paths: False, is_near=lambda: True)
    assert found is None
    assert asked == [()]


def test_without_numbers_there_is_nothing_to_try():
    _, asked, found = search(lambda paths: False, Numbers())
    assert found is None
    assert asked == [()]


@pytest.mark.parametrize(
    "needed", [{"a"}, {"c"}, {"a", "c"}, {"a", "b", "c"}], ids=lambda one: "".join(sorted(one))
)
def test_numbers_that_do_not_matter_are_left_out(needed):
    found, asked, _ = search(lambda paths: needed <= paths)
    assert set(found) == needed
    assert asked[1] == ("a", "b", "c")


def test_one_number_alone_is_found_where_all_together_are_wrong():
    found, asked, attributes = search(lambda paths: paths == {"b"})
    assert found == ["b"]
    assert asked == [(), ("a", "b", "c"), ("a",), ("b",)]
    assert (attributes[0].module, attributes[0].units, attributes[0].constant) == ("", 1, 0)


def test_pairs_come_after_all_single_ones():
    found, asked, _ = search(lambda paths: paths == {"b", "c"})
    assert found == ["b", "c"]
    assert asked[2:] == [("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c")]


def test_where_nothing_works_there_is_none_and_at_most_28_pairs_were_tried():
    names = [f"number{place}" for place in range(10)]
    _, asked, found = search(lambda paths: False, Numbers(**dict.fromkeys(names, 6)))
    assert found is None
    assert asked[:2] == [(), tuple(names)]
    assert asked[2:12] == [(one,) for one in names]
    assert asked[12:] == list(itertools.combinations(names, 2))[:28]


def test_a_number_that_is_a_size_in_two_ways_is_tried_in_both_and_never_with_itself():
    """Twelve is twice the units, and the units with six zeros."""

    class Both(Numbers):
        def forward(self, given):
            units = self.up(given)
            twice = self.down(torch.cat([units, units], 1))
            return twice + self.other(torch.cat([units, torch.zeros(len(given), 6)], 1))

    model = Both(size=12)
    model.down, model.other = nn.Linear(12, 3), nn.Linear(12, 3)
    coupling, leaf = leaf_of(model, "up.weight", example=rows())
    asked = []

    def works(attributes):
        asked.append(tuple((one.path, one.units, one.constant) for one in attributes))
        return False

    assert find_attributes(model, coupling, leaf, works) is None
    ways = {("size", 2, 0), ("size", 1, 6)}
    assert {one for some in asked[2:] for one in some} == ways
    assert all(len(some) <= 1 for some in asked)
