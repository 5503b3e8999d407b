import dataclasses
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from outgrow.compare import measures
from outgrow.compare.measures import Measures, SideFigures, measure
from outgrow.compare.sample import SampleFigures
from outgrow.difference import difference
from outgrow.errors import InputError
from outgrow.testing.strategies import DTYPES, shapes, tensors
from tests.compare.plain_measures import as_float, counted_in, figures, root

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")

F4 = torch.float4_e2m1fn_x2
ALL = (*DTYPES, torch.complex32, torch.complex128)
MIXED = tuple(dtype for dtype in dict.fromkeys(ALL) if dtype != F4)


@st.composite
def pairs(draw, dtypes=MIXED, same=False):
    shape = draw(shapes())
    one = draw(st.sampled_from(dtypes))
    other = one if same else draw(st.sampled_from(dtypes))
    actual, expected = (draw(tensors(dtypes=(dtype,), like=st.just(shape))) for dtype in (one, other))
    if one == other and draw(st.booleans()) and actual.numel() and one != F4:
        changed = actual.clone()
        changed.view(-1)[draw(st.integers(0, changed.numel() - 1))] = expected.view(-1)[0]
        return actual, changed
    return actual, expected


def near(found, exact, size=None) -> bool:
    """Within a few roundings of float64 at the size of what was added up; overflow where it must."""
    if math.isinf(found) or as_float(exact) == math.inf:
        return found == as_float(exact)
    size = abs(exact) if size is None else size
    return abs(Fraction(found) - Fraction(exact)) <= Fraction(1, 10**12) * Fraction(size) + Fraction(5e-324)


def check_side(found: SideFigures, exact, shape):
    assert (found.nan, found.inf) == (exact["nan"], exact["inf"])
    assert found.first_nan == index(exact["first_nan"], shape)
    if exact["mean"] is None:
        assert (found.mean, found.std, found.minimum, found.maximum) == (None,) * 4
        return
    size = root(sum(value**2 for value in exact["finite"]) / len(exact["finite"]))
    # float64 cannot hold every integer of 64 bits.
    assert near(found.minimum, exact["minimum"])
    assert near(found.maximum, exact["maximum"])
    assert near(found.mean, exact["mean"], size)
    assert near(found.std, exact["std"], exact["std"] + size / 1000)
    if exact["minimum"] == exact["maximum"]:
        assert found.std == 0


def index(flat, shape):
    return None if flat is None else tuple(map(int, np.unravel_index(flat, shape))) if shape else ()


def check(found: Measures, actual, expected, rtol=0.0, atol=0.0):
    exact = figures(actual, expected, rtol, atol)
    assert found.shape == tuple(actual.shape)
    assert (found.actual_dtype, found.expected_dtype) == (actual.dtype, expected.dtype)
    for name in ("elements", "mismatched"):
        assert getattr(found, name) == exact[name], name
    assert found.is_equal == (exact["mismatched"] == 0)
    if actual.is_complex() or expected.is_complex():
        assert abs(found.outside - exact["outside"]) <= 1  # a modulus is rounded, a tie may go either way
    else:
        assert found.outside == exact["outside"]
    assert near(found.max_abs, exact["max_abs"])
    if found.is_equal:
        assert found.max_abs_index is None
    else:
        sizes = exact["moduli"]
        if is_rounded_twice(actual.dtype, expected.dtype):
            # One of those that are the largest but for that.
            at = next(i for i in range(len(sizes)) if index(i, found.shape) == found.max_abs_index)
            assert near(found.max_abs, sizes[at])
        else:
            is_exact = isinstance(found.max_abs, int)
            first = [size if is_exact else as_float(size) for size in sizes].index(found.max_abs)
            assert found.max_abs_index == index(first, found.shape)
    dtype = counted_in(actual.dtype, expected.dtype)
    bits = 8 * (dtype.itemsize if dtype is not None else 0)
    assert found.max_ulp == (2**bits if exact["nan_apart"] else exact["steps"])
    assert dict(found.distance_exponents) == exact["exponents"]
    check_side(found.actual, exact["actual"], found.shape)
    check_side(found.expected, exact["expected"], found.shape)
    check_sums(found, exact)


def is_rounded_twice(one, other) -> bool:
    """Whether distances are not those exact ones rounded once: moduli, and 64 bits against floats."""
    wide = {torch.int64, torch.uint64}
    return one.is_complex or other.is_complex or ((one in wide) != (other in wide))


def check_sums(found, exact):
    above, below, size = exact["squares"], exact["expected_squares"], exact["actual_squares"]
    assert near(found.mse, above / exact["count"] if exact["count"] else 0)
    relative = root(above / below) if below else math.inf if above else 0
    assert near(found.finite_relative_error, relative)
    # Infinite also where the distance of two finite numbers leaves float64.
    is_infinite = math.isinf(found.max_abs)
    assert found.relative_error == (math.inf if is_infinite else found.finite_relative_error)
    if not below and not size:
        assert (found.cosine, found.scale) == (1.0, None)
    elif not below:
        assert (found.cosine, found.scale) == (None, None)
    elif not size:
        assert (found.cosine, found.scale) == (None, 0.0)
    else:
        assert near(found.cosine, exact["products"] / (root(below) * root(size)), 1)
        assert near(found.scale, exact["products"] / below, root(size / below))
        if not above:
            assert (found.cosine, found.scale) == (1.0, 1.0)


@given(pair=pairs(), tolerances=st.sampled_from([(0.0, 0.0), (0.1, 0.0), (0.0, 2.0), (0.01, 0.5)]))
def test_agrees_with_exact_arithmetic(pair, tolerances):
    actual, expected = pair
    rtol, atol = tolerances
    with_64_bits = {torch.int64, torch.uint64, torch.float64} & {actual.dtype, expected.dtype}
    assume(not (with_64_bits and any(tolerances)))  # there a tolerance is rounded, a tie may go either way
    check(measure(actual, expected, rtol=rtol, atol=atol), actual, expected, rtol, atol)


@pytest.mark.parametrize("one", MIXED, ids=str)
@pytest.mark.parametrize("other", MIXED, ids=str)
def test_every_pair_of_dtypes(one, other):
    values = torch.tensor([0.0, 1.0, 2.0, 0.3, 100.0, 7.0, 0.001, 1.0, 60000.0])
    others = torch.tensor([0.0, 1.0, 1.0, 0.7, 90.0, 8.0, 0.0, 255.0, 70000.0])
    actual, expected = values.to(one), others.to(other)
    check(measure(actual, expected), actual, expected)


@given(pair=pairs(dtypes=ALL, same=True))
def test_shares_its_figures_with_difference(pair):
    found, peer = measure(*pair), difference(*pair)
    assert found.shape == peer.shape
    assert found.elements == peer.elements
    assert found.is_equal == peer.is_equal
    assert (found.max_abs, found.max_abs_index) == (peer.max_abs, peer.max_abs_index)
    assert found.max_ulp == peer.max_ulp
    assert (found.actual.nan, found.expected.nan) == (peer.actual_nan, peer.expected_nan)
    assert (found.actual.inf, found.expected.inf) == (peer.actual_inf, peer.expected_inf)
    assert found.relative_error == pytest.approx(peer.relative_frobenius, rel=1e-12, abs=5e-324)


def test_nan_against_a_number_is_a_difference():
    found = measure(torch.tensor([1.0, math.nan, 3.0]), torch.tensor([1.0, 2.0, 3.5]))
    assert not found.is_equal
    assert (found.mismatched, found.outside) == (2, 2)
    assert found.max_abs == found.relative_error == math.inf
    assert found.max_abs_index == (1,)
    assert found.max_ulp == 2**32
    assert (found.actual.nan, found.actual.first_nan, found.expected.nan) == (1, (1,), 0)
    assert found.finite_relative_error == pytest.approx(0.5 / math.sqrt(1 + 3.5**2))
    assert found.mse == 0.125


def test_nan_against_nan_is_none():
    found = measure(torch.tensor([math.nan, 1.0]), torch.tensor([math.nan, 1.0], dtype=torch.float64))
    assert found.is_equal
    assert found.max_ulp == found.max_abs == found.relative_error == 0


@pytest.mark.parametrize("tolerances", [{"rtol": 10.0}, {"atol": 1e30}, {"rtol": math.inf}])
def test_no_tolerance_lets_nan_or_an_infinity_pass(tolerances):
    expected = torch.tensor([math.inf, 2.0, math.inf, math.nan])
    found = measure(torch.tensor([1.0, math.nan, -math.inf, math.nan]), expected, **tolerances)
    assert found.outside == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool, torch.complex64])
@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)])
def test_nothing_is_equal_to_nothing(shape, dtype):
    found = measure(torch.empty(shape, dtype=dtype), torch.empty(shape, dtype=dtype))
    side = SideFigures(mean=None, std=None, minimum=None, maximum=None, nan=0, inf=0, first_nan=None)
    assert found == Measures(
        shape=shape, expected_dtype=dtype, actual_dtype=dtype, elements=0, mismatched=0, outside=0,
        max_abs=0.0, max_abs_index=None, relative_error=0.0, mse=0.0, max_ulp=0, cosine=1.0, scale=None,
        finite_relative_error=0.0, distance_exponents={}, expected=side, actual=side,
    )  # fmt: skip


def test_constants_and_zeros_have_defined_figures():
    zeros, constant = torch.zeros(3), torch.full((3,), 0.1)
    same = measure(constant, constant.clone())
    assert (same.cosine, same.scale, same.expected.std) == (1.0, 1.0, 0.0)
    assert same.expected.mean == same.expected.minimum == same.expected.maximum == constant[0].item()
    assert measure(zeros, zeros).cosine == 1.0
    lost = measure(zeros, constant)
    assert (lost.cosine, lost.scale, lost.relative_error) == (None, 0.0, 1.0)
    born = measure(constant, zeros)
    assert (born.cosine, born.scale, born.relative_error) == (None, None, math.inf)


def test_squares_may_leave_float64():
    huge = torch.tensor([1e300, -1e300, 1e200], dtype=torch.float64)
    found = measure(huge * (1 + 1e-3), huge)
    assert found.relative_error == pytest.approx(1e-3)
    assert found.cosine == pytest.approx(1)
    assert found.scale == pytest.approx(1.001)
    assert found.mse == math.inf
    assert found.expected.std == pytest.approx(1e300 * math.sqrt(2 / 3))
    tiny = measure(huge * 1e-300 * 1e-290, huge * 1e-300 * 1e-290 * 2)
    assert tiny.relative_error == pytest.approx(0.5)
    assert tiny.scale == pytest.approx(0.5)


def test_a_factor_is_found():
    expected = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    assert measure(expected / 8, expected).scale == pytest.approx(1 / 8, rel=1e-12)


def test_integers_are_told_apart_where_floats_are_not():
    found = measure(torch.tensor([2**62 + 1, 5]), torch.tensor([2**62, 5]))
    assert (found.mismatched, found.max_abs, found.max_ulp) == (1, 1, 1)
    found = measure(torch.tensor([2**53 + 1]), torch.tensor([2.0**53], dtype=torch.float64))
    assert (found.mismatched, found.max_abs) == (1, 1.0)
    found = measure(torch.tensor([2**64 - 1], dtype=torch.uint64), torch.tensor([-(2**63)]))
    assert found.max_abs == found.max_ulp == 2**64 - 1 + 2**63


def test_steps_are_counted_in_the_coarser_dtype():
    expected = torch.tensor([1.0, 1.0 + 2**-8, 1.0 + 2**-9])
    found = measure(torch.tensor([1.0, 1.0, 1.0], dtype=torch.bfloat16), expected)
    assert (found.max_ulp, found.max_abs, found.mismatched) == (0, 2**-8, 2)


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_chunks_add_up(chunk, monkeypatch):
    random = torch.Generator().manual_seed(3)
    actual, expected = torch.randn(2, 5, 31, dtype=torch.float64, generator=random)
    actual[2, 3] = expected[4, 4] = math.nan
    expected[3, 1] = math.inf
    actual[4] *= 1e300
    actual[0, 7], expected[0, 7] = 50.0, 0.0
    actual[3, 7], expected[3, 7] = 50.0, 0.0
    monkeypatch.setattr(measures, "_CHUNK_ELEMENTS", chunk)
    check(measure(actual, expected), actual, expected)


def test_the_first_of_equal_distances_counts_across_chunks(monkeypatch):
    monkeypatch.setattr(measures, "_CHUNK_ELEMENTS", 4)
    expected = torch.zeros(5, 3)
    actual = torch.zeros(5, 3)
    actual[1, 2] = actual[4, 0] = -3.0
    assert measure(actual, expected).max_abs_index == (1, 2)


VIEWS = {
    "transposed": lambda t: t.transpose(0, 2),
    "expanded": lambda t: t[:, :1].expand(-1, 9, -1),
    "strided": lambda t: t[:, ::2, ::3],
    "flipped": lambda t: t.flip(1),
    "permuted": lambda t: t.permute(2, 0, 1),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_strides_do_not_matter(view, dtype, monkeypatch):
    monkeypatch.setattr(measures, "_CHUNK_ELEMENTS", 50)
    random = torch.Generator().manual_seed(5)
    actual, expected = (VIEWS[view](torch.randn(7, 10, 9, generator=random).to(dtype)) for _ in range(2))
    found, plain = measure(actual, expected), measure(actual.contiguous(), expected.contiguous())
    assert found.max_abs_index == plain.max_abs_index
    check(found, actual, expected)


def test_views_that_negate_or_conjugate():
    numbers = torch.tensor([1 + 2j, 3 - 4j])
    assert measure(numbers.conj(), numbers.conj().resolve_conj()).is_equal
    assert measure(numbers.conj().imag, -numbers.imag).is_equal
    assert measure(numbers.conj(), numbers).max_abs == 8


@pytest.mark.parametrize(
    ("actual", "expected", "options", "text"),
    [
        (torch.zeros(2), torch.zeros(3), {}, "shape"),
        (torch.zeros(2).to_sparse(), torch.zeros(2), {}, "sparse"),
        (torch.zeros(2), torch.zeros(2, device="meta"), {}, "meta"),
        (torch.zeros(2, dtype=torch.uint8).view(F4), torch.zeros(2), {}, "float4"),
        (torch.zeros(2), torch.zeros(2), {"rtol": -1.0}, "rtol"),
        (torch.zeros(2), torch.zeros(2), {"atol": math.nan}, "atol"),
    ],
)
def test_what_cannot_be_compared_is_refused(actual, expected, options, text):
    with pytest.raises(InputError, match=text):
        measure(actual, expected, **options)


@pytest.mark.parametrize("kind", [Measures, SideFigures, SampleFigures])
def test_every_figure_is_in_the_reference(kind):
    page = (Path(__file__).parents[2] / "docs/reference/compare-measures.md").read_text()
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert {field.name for field in dataclasses.fields(kind)} <= rows
