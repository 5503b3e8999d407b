"""Cells show the very numbers, and say where each stands."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.layout import PartialSum
from outgrow.compare.view import MOST_CELLS, Side, Spec, compare_cells, read_cells
from outgrow.compare.view.gap import beyond, gap
from outgrow.difference import difference
from outgrow.errors import InputError
from tests.compare.view.windows import DTYPE_LIST, bits, laid_out, plain_window, specs, tensors


@given(laid_out(), st.data())
def test_cells_are_the_numbers_of_the_window(made, data):
    stored, layout = made
    side = Side(stored, layout)
    spec = data.draw(specs(side.shape))
    whole = layout.apply(stored)
    plain = [place for row in plain_window(whole, spec) for place in row]
    cells = read_cells(side, spec)
    assert len(cells.text) == len(cells.value) == len(cells.index) == cells.height * cells.width == len(plain)
    assert [text is None for text in cells.text] == [place is None for place in plain]
    json.dumps(cells.as_json(), allow_nan=False)
    for place, text, index, rank in zip(
        plain, cells.text, cells.index, cells.rank or [0] * len(plain), strict=True
    ):
        if place is None:
            assert index is rank is None or cells.rank is None
            continue
        number = whole.reshape(-1)[place : place + 1] if whole.numel() else None
        assert bits(parsed(text, whole.dtype)) == bits(number) or is_nan(number)
        if cells.summands == 1:
            assert bits(stored[rank][index]) == bits(number)


def is_nan(number):
    return bool((torch.view_as_real(number) if number.is_complex() else number.float()).isnan().any())


def parsed(text, dtype):
    """As a reader of the text would."""
    if dtype == torch.bool:
        return torch.tensor([text == "True"])
    if dtype == torch.complex64:
        return torch.from_numpy(np.array([np.complex64(complex(text))]))
    if dtype.is_complex:
        return torch.tensor([complex(text)], dtype=dtype)
    if dtype.is_floating_point:
        return (
            torch.tensor([float(text)], dtype=torch.float64).float().to(dtype)
            if dtype != torch.float64
            else torch.tensor([float(text)], dtype=dtype)
        )
    return torch.from_numpy(np.array([int(text)], dtype=str(dtype).removeprefix("torch.")))


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (torch.tensor(0.1), "0.1"),
        (torch.tensor(1e-7), "1e-07"),
        (torch.tensor(-0.0), "-0.0"),
        (torch.tensor(16777216.0), "16777216.0"),
        (torch.tensor(float("nan")), "nan"),
        (torch.tensor(float("-inf")), "-inf"),
        (torch.tensor(0.1, dtype=torch.float64), "0.1"),
        (torch.tensor(12352.0, dtype=torch.bfloat16), "12352.0"),
        (torch.tensor(0.1, dtype=torch.bfloat16), "0.100097656"),
        (torch.tensor(65504.0, dtype=torch.float16), "65504.0"),
        (torch.tensor(448.0).to(torch.float8_e4m3fn), "448.0"),
        (torch.tensor(2**53 + 1), "9007199254740993"),
        (torch.tensor(-(2**63)), "-9223372036854775808"),
        (torch.tensor(2**64 - 1, dtype=torch.uint64), "18446744073709551615"),
        (torch.tensor(True), "True"),
        (torch.tensor(1 + 2j), "(1+2j)"),
        (torch.tensor(complex(0.1, math.nan)), "(0.1+nanj)"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.dtype),
)
def test_numbers_read_as_python_writes_them(tensor, text):
    cells = read_cells(Side([tensor]), Spec(fixed=()))
    assert cells.text == [text]
    assert cells.index == [()]
    assert cells.as_json()["index"] == [""]


same = st.sampled_from(DTYPE_LIST)


@given(st.data())
def test_differences_are_those_of_difference(data):
    dtype = data.draw(same)
    expected, actual = (data.draw(tensors(shape=(6,), dtype=dtype)) for _ in range(2))
    spec = Spec(fixed=(0,), columns=0)
    pair = compare_cells(read_cells(Side([expected]), spec), read_cells(Side([actual]), spec))
    json.dumps(pair.as_json(), allow_nan=False)
    for place in range(6):
        one, other = actual[place : place + 1], expected[place : place + 1]
        known = difference(one, other)
        found = pair.difference[place]
        assert pair.differs[place] == (not known.is_equal)
        if known.nan_mismatched:
            assert math.isnan(found)
        elif not math.isnan(found):
            assert abs(found) == known.max_abs
        if pair.ulp[place] is None:
            assert known.max_ulp == 2 ** (8 * dtype.itemsize // (2 if dtype.is_complex else 1))
        else:
            assert pair.ulp[place] == known.max_ulp


@given(st.data())
def test_gaps_are_0_exactly_where_numbers_are_equal(data):
    dtypes = data.draw(same), data.draw(same)
    expected, actual = (data.draw(tensors(shape=(5,), dtype=dtype)) for dtype in dtypes)
    apart = gap(actual, expected)
    one, other = python(actual), python(expected)
    for place in range(5):
        is_equal = one[place] == other[place] or (nan(one[place]) and nan(other[place]))
        if isinstance(one[place], complex) or isinstance(other[place], complex):
            mine, theirs = complex(one[place]), complex(other[place])
            is_equal = all(
                x == y or (x != x and y != y) for x, y in ((mine.real, theirs.real), (mine.imag, theirs.imag))
            )
            if {type(one[place]), type(other[place])} == {int, complex}:
                continue  # float64 holds both but for integers beyond 2**53
        assert (float(apart[place]) == 0) == is_equal, (one[place], other[place], apart[place])
        if not is_equal and not isinstance(one[place], complex) and not isinstance(other[place], complex):
            if nan(one[place]) or nan(other[place]):
                assert math.isnan(apart[place])
            else:
                assert (float(apart[place]) > 0) == (one[place] > other[place])


def python(tensor):
    if tensor.is_complex():
        return tensor.to(torch.complex128).tolist()
    found = (tensor.double() if tensor.is_floating_point() else tensor).numpy().tolist()
    return [int(x) if isinstance(x, bool) else x for x in found]


def nan(number):
    return number != number


def test_integers_that_float64_does_not_hold_differ_from_the_float_beside_them():
    whole = torch.tensor([2**53 + 1, 2**53, -(2**62) - 1, 2**62])
    values = torch.tensor([2.0**53, 2.0**53, -(2.0**62), 2.0**62], dtype=torch.float64)
    assert gap(whole, values).tolist() == [1.0, 0.0, -1.0, 0.0]
    assert gap(values, whole).tolist() == [-1.0, 0.0, 1.0, 0.0]
    spec = Spec(fixed=(0,), columns=0)
    pair = compare_cells(read_cells(Side([values]), spec), read_cells(Side([whole]), spec))
    assert pair.difference == [1.0, 0.0, -1.0, 0.0]


def test_no_step_lies_between_two_nan():
    codes = torch.tensor([0x7FC00000, 0x7F800001, 0x7FC00000], dtype=torch.int32)
    others = torch.tensor([0x7FC00001, -1, 0], dtype=torch.int32)
    spec = Spec(fixed=(0,), columns=0)
    expected, actual = (read_cells(Side([side.view(torch.float32)]), spec) for side in (codes, others))
    pair = compare_cells(expected, actual)
    assert pair.ulp == [0, 0, None]
    assert pair.differs == [False, False, True]


def test_tolerances_never_allow_nan_or_infinities():
    expected = torch.tensor([1.0, 1.0, math.nan, math.inf, 100.0, math.inf])
    actual = torch.tensor([1.05, 1.2, 1.0, 5.0, 109.0, math.inf])
    found = beyond(gap(actual, expected), expected, rtol=0.1, atol=0.0)
    assert found.tolist() == [False, True, True, True, False, False]
    assert beyond(gap(actual, expected), expected, rtol=0.0, atol=0.3).tolist() == [
        False, False, True, True, True, False,
    ]  # fmt: skip


def test_own_shapes_are_set_against_each_other_by_place():
    expected = read_cells(Side([torch.arange(12).view(3, 4)]), Spec(fixed=(0, 0), rows=0, columns=1))
    actual = read_cells(Side([torch.arange(10)]), Spec(fixed=(0,), columns=0, fold=4))
    pair = compare_cells(expected, actual)
    assert (pair.height, pair.width) == (3, 4)
    assert pair.difference == [0] * 10 + [None] * 2
    assert pair.ulp == [0] * 10 + [None] * 2
    assert pair.differs == [False] * 12


def test_large_integers_differ_by_all_their_digits():
    spec = Spec(fixed=())
    expected, actual = (
        read_cells(Side([torch.tensor(2**62 + 1)]), spec),
        read_cells(Side([torch.tensor(2**62)]), spec),
    )
    pair = compare_cells(expected, actual)
    assert pair.difference == [-1]
    assert pair.text == ["-1"]
    assert pair.as_json()["ulp"] == [1]
    far = compare_cells(expected, read_cells(Side([torch.tensor(0)]), spec)).as_json()
    assert far["ulp"] == far["difference_text"][0].strip("-").split() == [str(2**62 + 1)]
    assert pair.differs == [True]


def test_sums_of_ranks_say_so():
    side = Side([torch.ones(2), torch.ones(2)], PartialSum(ranks=2, local=(2,)))
    cells = read_cells(side, Spec(fixed=(0,), columns=0))
    assert cells.text == ["2.0", "2.0"]
    assert cells.summands == 2
    assert cells.rank == [0, 0]


def test_windows_that_are_too_large_are_refused():
    side = Side([torch.zeros(MOST_CELLS + 1)])
    with pytest.raises(InputError, match="too large") as caught:
        read_cells(side, Spec(fixed=(0,), columns=0))
    assert caught.value.hint
    assert len(read_cells(side, Spec(fixed=(0,), columns=0, width=MOST_CELLS)).text) == MOST_CELLS


@pytest.mark.parametrize(
    "tensor", [torch.zeros(2, device="meta"), torch.zeros(2).to_sparse()], ids=["meta", "sparse"]
)
def test_what_holds_no_plain_numbers_is_refused(tensor):
    with pytest.raises(InputError, match="cannot be shown"):
        Side([tensor])


def test_equal_nan_and_infinities_are_no_difference():
    values = [math.nan, math.inf, -math.inf, math.nan, 1.0, math.inf]
    others = [math.nan, math.inf, -math.inf, 1.0, math.nan, -math.inf]
    sides = (Side([torch.tensor(numbers)]) for numbers in (values, others))
    pair = compare_cells(*(read_cells(side, Spec(fixed=(0,), columns=0)) for side in sides))
    assert pair.text == ["0.0", "0.0", "0.0", "nan", "nan", "-inf"]
    assert pair.as_json()["difference"] == [0.0, 0.0, 0.0, "nan", "nan", "-inf"]
    assert pair.differs == [False, False, False, True, True, True]
    assert pair.ulp[:5] == [0, 0, 0, None, None]
