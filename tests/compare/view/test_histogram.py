"""Bars count every finite number once."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.view import Side, Spec, Window, draw_histogram
from outgrow.compare.view.gap import gap, moduli
from outgrow.errors import InputError
from tests.compare.view.windows import laid_out, plain_window, specs, tensors


def plain_counts(numbers, edges):
    numbers = np.asarray(numbers, dtype=np.float64)
    nan, inf = int(np.isnan(numbers).sum()), int(np.isinf(numbers).sum())
    return np.isfinite(numbers).sum(), nan, inf


def real(tensor):
    return (moduli(tensor) if tensor.is_complex() else tensor).double().reshape(-1)


def close_counts(found, numbers, edges):
    """As numpy counts, but for numbers that lie on an edge as far as float64 can tell."""
    with np.errstate(all="ignore"):
        scale = max(abs(edge) for edge in edges) or 1.0
        wanted, _ = np.histogram(np.asarray(numbers) / scale, bins=np.asarray(edges) / scale)
    on_edges = sum(1 for x in numbers for edge in edges[1:-1] if abs(x / scale - edge / scale) < 1e-12)
    assert sum(abs(a - b) for a, b in zip(found, wanted.tolist(), strict=True)) <= 2 * on_edges
    assert sum(found) == len(numbers)


@given(laid_out(), st.data(), st.integers(1, 7))
def test_bars_count_the_numbers_of_the_window(made, data, bins):
    stored, layout = made
    side = Side(stored, layout)
    whole = layout.apply(stored)
    other = data.draw(tensors(shape=tuple(whole.shape)))
    spec = data.draw(specs(side.shape))
    found = draw_histogram(Window(Side([other]), spec), Window(side, spec), bins=bins)
    json.dumps(found.as_json(), allow_nan=False)
    places = [place for row in plain_window(whole, spec) for place in row if place is not None]
    assert found.elements == found.of == len(places)
    picked = torch.tensor(places, dtype=torch.long)
    sides = (
        [real(other.contiguous().reshape(-1))[picked], real(whole.reshape(-1))[picked]]
        if places
        else [torch.zeros(0)] * 2
    )
    for bars, numbers in zip((found.expected, found.actual), sides, strict=True):
        assert bars.nan == int(numbers.isnan().sum())
        assert bars.inf == int(numbers.isinf().sum())
        finite = numbers[numbers.isfinite()].tolist()
        if found.edges:
            assert len(found.edges) == bins + 1
            close_counts(bars.counts, finite, found.edges)
        else:
            assert not finite
            assert bars.counts == []
    apart = (
        gap(whole.reshape(-1).contiguous(), other.contiguous().reshape(-1)).double()[picked]
        if places
        else torch.zeros(0)
    )
    finite = apart[apart.isfinite()].tolist()
    assert found.difference.nan == int(apart.isnan().sum())
    if found.difference_edges:
        close_counts(found.difference.counts, finite, found.difference_edges)


def test_windows_of_other_sizes_share_their_edges_and_have_no_difference():
    found = draw_histogram(
        Window(Side([torch.tensor([0.0, 1.0])]), Spec(fixed=(), flat=True)),
        Window(Side([torch.tensor([2.0, 4.0, 4.0])]), Spec(fixed=(), flat=True)),
        bins=4,
    )
    assert found.edges == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert found.expected.counts == [1, 1, 0, 0]
    assert found.actual.counts == [0, 0, 1, 2]
    assert found.difference is None
    assert found.as_json()["difference"] is None


@pytest.mark.parametrize("value", [0.0, 5.0, -1e30, 1.7976931348623157e308, 5e-324])
def test_one_number_alone_has_a_bar(value):
    side = Side([torch.full((3,), value, dtype=torch.float64)])
    found = draw_histogram(Window(side, Spec(fixed=(), flat=True)), None, bins=5)
    assert sum(found.expected.counts) == 3
    assert found.edges[0] < found.edges[-1]
    assert found.actual is None


def test_the_least_distance_has_two_bars():
    side = Side([torch.tensor([0.0, 5e-324, 5e-324], dtype=torch.float64)])
    found = draw_histogram(Window(side, Spec(fixed=(), flat=True)), None, bins=2)
    assert found.expected.counts == [1, 2]


def test_numbers_at_both_ends_of_float64_are_counted():
    most = 1.7976931348623157e308
    side = Side([torch.tensor([-most, 0.0, most], dtype=torch.float64)])
    found = draw_histogram(Window(side, Spec(fixed=(), flat=True)), None, bins=3)
    assert found.expected.counts == [1, 1, 1]
    assert all(math.isfinite(edge) for edge in found.edges)


@pytest.mark.parametrize("shape", [(3000, 2000), (60_000, 100), (1, 6_000_000)], ids=str)
def test_large_windows_are_sampled_and_say_so(shape):
    whole = torch.randn(shape)
    window = Window(Side([whole]), Spec(fixed=(0, 0), rows=0, columns=1))
    found = draw_histogram(window, window, bins=10)
    assert found.is_sampled
    assert found.of == whole.numel()
    assert found.elements == sum(found.expected.counts) > 3_000_000
    assert found.difference.counts[:] == [0] * 5 + [found.elements] + [0] * 4
    assert found.as_json()["is_sampled"]


def test_it_can_be_stopped():
    def check():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_histogram(Window(Side([torch.zeros(3)]), Spec(fixed=(), flat=True)), None, bins=2, check=check)


@pytest.mark.parametrize("bins", [0, -1, 5000])
def test_bars_are_few(bins):
    window = Window(Side([torch.zeros(3)]), Spec(fixed=(), flat=True))
    with pytest.raises(InputError, match="cannot be drawn"):
        draw_histogram(window, None, bins=bins)
    with pytest.raises(InputError, match="cannot be drawn"):
        draw_histogram(None, None, bins=3)
