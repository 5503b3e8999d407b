"""Extents that are taken apart and put together, written out."""

from math import prod

import pytest

from outgrow.evolve.coupling.cutting import bundle, chain, cut, regroup, repeated, split_front
from outgrow.evolve.coupling.extent import Extent
from tests.evolve.coupling.seen import Text

_text = Text({})


def product(*parts):
    whole = Extent(prod(part.size for part in parts))
    whole.refine("product", parts)
    return whole


def behind(*parts):
    """One part behind the other."""
    whole = Extent(sum(part.size for part in parts))
    whole.refine("sum", parts)
    return whole


def sizes(*each):
    return [Extent(size) for size in each]


@pytest.mark.parametrize(
    ("extents", "wanted", "groups", "left"),
    [
        (sizes(12), [3, 4], "3 | 4", "3*4"),
        (sizes(12), [2, 2, 3], "2 | 2 | 3", "2*[2*3]"),
        (sizes(4, 6), [24], "4 6", "4 6"),
        (sizes(4, 6), [2, 12], "2 | 2 6", "2*2 6"),
        (sizes(4, 6), [8, 3], "4 2 | 3", "4 2*3"),
        (sizes(4, 6), [1, 4, 1, 6, 1], " | 4 |  | 6 | ", "4 6"),
        (sizes(1, 4, 1), [4], "4", "1 4 1"),
        ([product(*sizes(2, 3)), Extent(5)], [6, 5], "2 3 | 5", "2*3 5"),
        ([product(*sizes(2, 3)), Extent(5)], [2, 15], "2 | 3 5", "2*3 5"),
        ([product(Extent(2), product(*sizes(3, 2)))], [6, 2], "2 3 | 2", "2*[3*2]"),
        ([behind(*sizes(3, 3))], [2, 3], "2(is a number of parts) | 3", "2(is a number of parts)*3"),
        ([behind(*sizes(2, 3))], [5], "2+3", "2+3"),
        ([], [1], "", ""),
    ],
)
def test_factors_are_grouped_by_the_sizes_that_are_asked_for(extents, wanted, groups, left):
    found = regroup(extents, wanted)
    assert found is not None
    assert " | ".join(_text.dims(tuple(group)) for group in found) == groups
    assert _text.dims(tuple(extents)) == left


@pytest.mark.parametrize(
    ("extents", "wanted"),
    [
        (sizes(4, 6), [6, 4]),
        (sizes(4, 6), [4]),
        (sizes(4), [4, 2]),
        (sizes(6), [4, 2]),
        ([behind(*sizes(2, 4))], [2, 3]),
        ([behind(*sizes(2, 2, 2))], [2, 3]),
        ([behind(*sizes(1, 2, 3))], [3, 2]),
    ],
    ids=["across", "too-few", "too-many", "no-divisor", "unequal-parts", "other-count", "unequal-three"],
)
def test_what_does_not_divide_is_not_grouped(extents, wanted):
    assert regroup(extents, wanted) is None


def test_parts_of_one_size_that_are_made_up_differently_are_fixed_by_the_view():
    pair = behind(product(*sizes(2, 3)), behind(*sizes(2, 4)))
    assert regroup([pair], [2, 6]) is not None
    reasons = {leaf.frozen for leaf in pair.leaves()}
    assert reasons == {"is a number of parts", "a view joins dims that are made up differently"}


def test_a_factor_that_occurs_twice_is_taken_apart_once():
    leaf = Extent(6)
    found = regroup([leaf, leaf], [2, 3, 2, 3])
    assert found is not None
    assert [[_text.extent(one) for one in group] for group in found] == [["2"], ["3"], ["2"], ["3"]]
    assert found[0] == found[2]


def test_equal_parts_that_become_a_factor_are_one_extent():
    first, second = sizes(3, 3)
    assert regroup([behind(first, second)], [2, 3]) is not None
    assert first.find() is second.find()


@pytest.mark.parametrize(
    ("extent", "wanted", "pieces", "left"),
    [
        (Extent(5), [2, 3], "2 3", "2+3"),
        (Extent(5), [1, 4], "1(has one index only) 4", "1(has one index only)+4"),
        (Extent(5), [0, 5], "0(is empty) 5", "5"),
        (Extent(5), [2, 0, 3], "2 0(has one index only) 3", "2+3"),
        (behind(*sizes(2, 3)), [2, 3], "2 3", "2+3"),
        (behind(*sizes(2, 3)), [5], "2+3", "2+3"),
        (behind(*sizes(2, 3, 4)), [5, 4], "2+3 4", "2+3+4"),
        (behind(*sizes(2, 4)), [4, 2], "2+2 2", "2+[2+2]"),
        (behind(*sizes(5, 2)), [2, 2, 3], "2 2 1(has one index only)+2", "[2+[2+1(has one index only)]]+2"),
        (behind(*sizes(2, 2)), [0, 2, 2], "0 2 2", "2+2"),
        (product(*sizes(4, 3)), [6, 6], "2*3 2*3", "[2+2]*3"),
        (product(*sizes(4, 3, 2)), [18, 6], "3*3*2 3*2", "[3+1(has one index only)]*3*2"),
        (product(*sizes(4, 3)), [12, 0], "4*3 0(is empty)", "4*3"),
        (behind(product(*sizes(4, 3)), Extent(2)), [6, 8], "2*3 [2*3]+2", "[[2+2]*3]+2"),
    ],
)
def test_an_extent_is_cut_where_the_sizes_say(extent, wanted, pieces, left):
    found = cut(extent, wanted)
    assert found is not None
    assert " ".join(_text.extent(piece) for piece in found) == pieces
    assert [piece.size for piece in found] == wanted
    assert _text.extent(extent) == left


@pytest.mark.parametrize(
    ("extent", "wanted"),
    [
        (product(*sizes(4, 3)), [5, 7]),
        (product(*sizes(4, 3)), [6, 5, 1]),
        (behind(product(*sizes(4, 3)), Extent(2)), [5, 9]),
        (product(behind(product(*sizes(2, 3)), Extent(2)), Extent(2)), [4, 12]),
    ],
    ids=["within-a-unit", "a-later-one", "in-a-part", "in-a-factor"],
)
def test_what_would_cut_through_a_unit_is_not_cut(extent, wanted):
    assert cut(extent, wanted) is None


def test_a_front_factor_is_split_off_or_both_are_fixed_for_the_reason():
    whole = Extent(6)
    front, rest = split_front(whole, 2)
    assert (_text.extent(whole), front.size, rest.size) == ("2*3", 2, 3)
    uneven = behind(*sizes(2, 4))
    why = "cannot be taken apart into 3 x 2"
    assert [_text.extent(one) for one in split_front(uneven, 3)] == [f"3({why})", f"2({why})"]
    assert _text.extent(uneven) == f"2({why})+4({why})"


def test_repeated_dims_grow_and_single_indices_do_not():
    assert [repeated(size).frozen for size in (1, 2, 0)] == ["has one index only", None, None]


def test_factors_of_one_index_are_left_out_of_a_bundle():
    two, three = sizes(2, 3)
    assert _text.extent(bundle([two, Extent(1), three], 6)) == "2*3"
    assert bundle([Extent(1), two], 2) is two
    assert _text.extent(bundle([Extent(1), Extent(1)], 1)) == "1(has one index only)"
    assert _text.extent(bundle([], 1)) == "1(has one index only)"


def test_one_part_is_its_own_chain():
    two, three = sizes(2, 3)
    assert chain([two], 2) is two
    assert _text.extent(chain([two, three], 5)) == "2+3"
    assert _text.extent(chain([], 0)) == "0"
