"""Qualified names as a tree."""

import pytest

from outgrow.evolve.coupling.module_tree import common_module, distance, encloses


@pytest.mark.parametrize(
    ("names", "common"),
    [
        (["a.b.c", "a.b.d"], "a.b"),
        (["a.b", "a.b.c"], "a.b"),
        (["a.b"], "a.b"),
        (["ab.c", "a.c"], ""),
        (["a.x.c", "a.y.c"], "a"),
        (["", "a"], ""),
        ([], ""),
    ],
)
def test_the_common_module_is_the_lowest_that_holds_all(names, common):
    assert common_module(names) == common
    assert common_module(names[::-1]) == common


@pytest.mark.parametrize(
    ("outer", "inner", "does"),
    [("", "a.b", True), ("a", "a", True), ("a", "a.b", True), ("a", "ab", False), ("a.b", "a", False)],
)
def test_a_module_encloses_itself_and_its_parts(outer, inner, does):
    assert encloses(outer, inner) is does


@pytest.mark.parametrize(
    ("one", "two", "steps"),
    [("a.b", "a.b", 0), ("a.b", "a.c", 2), ("", "a.b", 2), ("a", "a.b.c", 2), ("a.b", "c", 3), ("", "", 0)],
)
def test_distance_counts_the_steps_up_and_down(one, two, steps):
    assert distance(one, two) == distance(two, one) == steps
