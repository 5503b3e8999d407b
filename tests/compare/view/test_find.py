"""The next match is the one that a look at all numbers would find."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.layout import Concatenate, Rearrange
from outgrow.compare.measures import measure
from outgrow.compare.view import Found, Query, Side, find, find_maximum
from outgrow.errors import InputError
from tests.compare.view.windows import DTYPE_LIST, laid_out, tensors


def plain_matches(query, expected, actual):
    """One by one."""
    return [
        bool(query.matches(expected.reshape(-1)[place : place + 1], actual.reshape(-1)[place : place + 1]))
        for place in range(expected.numel())
    ]


queries = st.sampled_from(
    [
        {"what": "difference"},
        {"what": "nan"},
        {"what": "inf", "side": "actual"},
        {"what": "value", "low": "0", "side": "expected"},
        {"what": "range", "low": "-1", "high": "1"},
        {"what": "range", "low": "0.5", "side": "actual"},
    ]
)


@given(laid_out(), st.data(), queries, st.sampled_from([1, -1]))
def test_the_next_match_is_found_with_wrap_around(made, data, asked, direction):
    stored, layout = made
    actual = Side(stored, layout)
    whole = layout.apply(stored)
    expected = data.draw(
        tensors(shape=tuple(whole.shape), dtype=data.draw(st.sampled_from([whole.dtype, torch.float32])))
    )
    query = Query.parse(asked)
    matches = plain_matches(query, expected, whole)
    elements = whole.numel()
    start = data.draw(st.none() | st.integers(0, elements - 1)) if elements else None
    index = (
        None
        if start is None
        else tuple(int(i) for i in np.unravel_index(start, whole.shape))
        if whole.dim()
        else ()
    )
    found = find(query, Side([expected]), actual, start=index, direction=direction, is_counted=True)
    json.dumps(found.as_json())
    assert found.count == sum(matches)
    order = list(range(elements))[::direction]
    if start is not None:
        cut = order.index(start) + 1
        order = order[cut:] + order[:cut]
    places = [place for place in order if matches[place]]
    if not places:
        assert found.index is None
        return
    assert found.index == (
        tuple(int(i) for i in np.unravel_index(places[0], whole.shape)) if whole.dim() else ()
    )
    assert found.expected_index == found.index
    assert found.wrapped == (
        start is not None and (places[0] <= start if direction == 1 else places[0] >= start)
    )


@given(st.data())
def test_the_largest_difference_is_that_of_the_measures(data):
    dtypes = [data.draw(st.sampled_from(DTYPE_LIST)) for _ in range(2)]
    shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=3)))
    expected, actual = (data.draw(tensors(shape=shape, dtype=dtype)) for dtype in dtypes)
    found = find_maximum(Side([expected]), Side([actual]))
    known = measure(actual, expected)
    if known.max_abs_index is None:
        assert found.index is None
        return
    assert found.index is not None
    if torch.float32 in dtypes or torch.bfloat16 in dtypes or found.index == known.max_abs_index:
        one, other = (
            measure(actual[i].reshape(1), expected[i].reshape(1)).max_abs
            for i in (found.index, known.max_abs_index)
        )
        assert one == pytest.approx(other, rel=1e-6)


def test_chunks_are_followed_across_their_borders():
    size = 100_000
    expected = torch.zeros(size)
    actual = expected.clone()
    marks = [0, 32_767, 32_768, 65_536, size - 1]
    actual[marks] = 1.0
    sides = Side([expected]), Side([actual])
    query = Query(what="difference")
    place, seen = None, []
    for _ in marks:
        found = find(query, *sides, start=place)
        place = found.index
        seen.append(place[0])
    assert seen == marks
    assert find(query, *sides, start=place).wrapped
    seen = []
    for _ in marks:
        found = find(query, *sides, start=place, direction=-1)
        place = found.index
        seen.append(place[0])
    assert seen == [*marks[-2::-1], marks[-1]]


def test_the_only_match_is_found_again_from_itself():
    side = Side([torch.tensor([1.0, math.nan, 2.0])])
    found = find(Query(what="nan"), side, None, start=(1,))
    assert (found.index, found.wrapped, found.actual_index) == ((1,), True, None)


def test_what_is_allowed_is_no_difference():
    expected, actual = Side([torch.tensor([1.0, 1.0])]), Side([torch.tensor([1.05, 1.2])])
    query = Query.parse({"what": "difference"}, rtol=0.1)
    assert find(query, expected, actual).index == (1,)


def test_any_difference_will_do_where_none_is_beyond_what_is_allowed():
    expected, actual = Side([torch.ones(3)]), Side([torch.tensor([1.0, 1.05, 1.2])])
    for rtol, index, is_allowed in ((0.1, (2,), False), (0.5, (1,), True)):
        query = Query.parse({"what": "difference"}, rtol=rtol, or_any=True)
        found = find(query, expected, actual, is_counted=True)
        assert (found.index, found.is_allowed) == (index, is_allowed)
    assert found.count == 2
    assert find(query, expected, expected) == Found(index=None)


def test_places_are_told_in_each_stored_shape():
    stored = [torch.zeros(2, 3), torch.zeros(2, 3)]
    stored[1][1, 2] = 5.0
    both = Concatenate(dim=0, shapes=((2, 3), (2, 3)))
    actual = Side(stored, both)
    found = find(
        Query.parse({"what": "value", "low": "5", "side": "actual"}), Side([torch.zeros(4, 3)]), actual
    )
    assert found.index == found.expected_index == (3, 2)
    assert (found.actual_rank, found.actual_index) == (1, (1, 2))
    turned = Rearrange(source=(2, 3), atoms=(2, 3), order=(1, 0), shape=(3, 2))
    found = find_maximum(Side([torch.zeros(3, 2)]), Side([stored[1]], turned))
    assert (found.index, found.actual_index) == ((2, 1), (1, 2))


def test_a_search_can_be_stopped():
    class Stopped(Exception):
        pass

    calls = []

    def check():
        calls.append(None)
        if len(calls) == 3:
            raise Stopped

    side = Side([torch.zeros(1 << 18)])
    with pytest.raises(Stopped):
        find(Query(what="nan"), side, None, check=check)
    calls.clear()
    with pytest.raises(Stopped):
        find_maximum(side, Side([torch.ones(1 << 18)]), check=check)


@pytest.mark.parametrize(
    "asked",
    [
        {"what": "all"},
        {},
        {"what": "nan", "side": "both"},
        {"what": "value"},
        {"what": "value", "low": "x"},
        {"what": "range", "low": "2", "high": "1"},
        {"what": "range", "low": "nan"},
        {"what": "range", "high": "2j"},
    ],
    ids=str,
)
def test_queries_that_ask_for_nothing_are_refused(asked):
    with pytest.raises(InputError) as caught:
        Query.parse(asked)
    assert caught.value.hint


def test_sides_that_do_not_face_each_other_are_refused():
    one, other = Side([torch.zeros(3)]), Side([torch.zeros(4)])
    with pytest.raises(InputError, match="cannot be searched together"):
        find(Query(what="nan"), one, other)
    with pytest.raises(InputError, match="is no index"):
        find(Query(what="nan"), one, None, start=(3,))
    with pytest.raises(InputError, match="on one side"):
        find(Query(what="difference"), one, None)
    with pytest.raises(InputError, match="is not there"):
        find(Query(what="nan", side="actual"), one, None)


@pytest.mark.parametrize("direction", [1, -1])
def test_a_lone_match_is_found_again_from_itself(direction):
    side = Side([torch.tensor([0.0, 0.0, 5.0, 0.0])])
    found = find(Query.parse({"what": "value", "low": "5"}), side, None, start=(2,), direction=direction)
    assert (found.index, found.wrapped) == ((2,), True)
