"""Windows are checked before anything is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.view import Spec
from outgrow.errors import InputError
from tests.compare.view.windows import specs


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "a window is None"),
        ([1], "a window is"),
        ({}, "fixed is None"),
        ({"fixed": 3}, "fixed is 3"),
        ({"fixed": [-1]}, "fixed is"),
        ({"fixed": [1.0]}, "fixed is"),
        ({"fixed": [True]}, "fixed is"),
        ({"fixed": ["0"]}, "fixed is"),
        ({"fixed": [0] * 65}, "65 indices"),
        ({"fixed": [0], "colour": 1}, "a window has 'colour'"),
        ({"fixed": [0], "rows": -1, "columns": 0}, "rows is -1"),
        ({"fixed": [0], "columns": "0"}, "columns is '0'"),
        ({"fixed": [0], "columns": 0.0}, "columns is 0.0"),
        ({"fixed": [0], "columns": 0, "height": -1}, "height is -1"),
        ({"fixed": [0], "columns": 0, "row0": None}, "row0 is None"),
        ({"fixed": [0], "flat": 1}, "flat is 1"),
        ({"fixed": [0], "rows": 0}, "columns is none"),
        ({"fixed": [0, 0], "rows": 1, "columns": 1}, "both dim 1"),
        ({"fixed": [0, 0], "rows": 0, "columns": 1, "fold": 3}, "fold is 3"),
    ],
    ids=str,
)
def test_what_is_no_window_is_refused(value, said):
    with pytest.raises(InputError, match=said) as caught:
        Spec.parse(value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("value", "shape", "said"),
    [
        ({"fixed": [0], "columns": 0}, (2, 3), "has 1 indices"),
        ({"fixed": [2, 0], "columns": 1}, (2, 3), "index of dim 0 is 2"),
        ({"fixed": [1, 0], "columns": 1}, (0, 3), "index of dim 0 is 1"),
        ({"fixed": [0, 0], "columns": 2}, (2, 3), "columns is dim 2"),
        ({"fixed": [], "columns": 0}, (), "columns is dim 0"),
        ({"fixed": [0, 0], "rows": 0, "columns": 1, "row0": 3}, (2, 3), "row0 is 3"),
        ({"fixed": [0, 0], "columns": 1, "column0": 4}, (2, 3), "column0 is 4"),
        ({"fixed": [], "flat": True, "column0": 7}, (2, 3), "column0 is 7"),
        ({"fixed": [], "flat": True, "fold": 4, "row0": 3}, (2, 3), "row0 is 3"),
    ],
    ids=str,
)
def test_windows_that_do_not_fit_the_shape_are_refused(value, shape, said):
    spec = Spec.parse(value)
    with pytest.raises(InputError, match=said) as caught:
        spec.check(shape)
    assert caught.value.hint


def test_what_is_left_out_is_all_of_it():
    spec = Spec.parse({"fixed": [0, 0], "rows": 0, "columns": 1})
    assert spec == Spec(fixed=(0, 0), rows=0, columns=1)
    spec.check((4, 5))
    assert spec.plane((4, 5)) == (4, 5)


@pytest.mark.parametrize(
    ("spec", "shape", "plane"),
    [
        (Spec(fixed=()), (), (1, 1)),
        (Spec(fixed=(), flat=True), (), (1, 1)),
        (Spec(fixed=(), flat=True), (2, 0), (0, 0)),
        (Spec(fixed=(), flat=True, fold=4), (3, 3), (3, 4)),
        (Spec(fixed=(), flat=True, fold=99), (3, 3), (1, 9)),
        (Spec(fixed=(0, 0, 0), rows=1, columns=2), (0, 3, 4), (0, 0)),
        (Spec(fixed=(0, 0), columns=1, fold=2), (2, 5), (3, 2)),
        (Spec(fixed=(0, 0), rows=1, columns=0), (2, 5), (5, 2)),
    ],
    ids=str,
)
def test_windows_know_what_they_are_cut_from(spec, shape, plane):
    assert spec.plane(shape) == plane


@given(st.lists(st.integers(0, 4), max_size=4), st.data())
def test_windows_that_fit_pass_and_turning_twice_changes_nothing(shape, data):
    spec = data.draw(specs(tuple(shape)))
    spec.check(shape)
    if spec.rows is not None:
        assert spec.turned().turned() == spec
        assert spec.turned().plane(shape) == (spec.plane(shape) if spec.flat else spec.plane(shape)[::-1])
