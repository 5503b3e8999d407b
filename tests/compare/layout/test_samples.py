"""Numbers fetched by position, whatever the tensor's dtype and strides are; and which places are drawn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.layout import Concatenate, PartialSum, Replicated, Stack
from outgrow.compare.layout.samples import Numbers, draw_positions
from outgrow.compare.layout.sides import Sides

DTYPES = [
    torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
]  # fmt: skip
VIEWS = {
    "plain": lambda x: x,
    "turned": lambda x: x.transpose(0, 2),
    "cut": lambda x: x[1:, :, ::2],
    "expanded": lambda x: x[:, :1].expand(4, 3, 6),
    "empty": lambda x: x[:0],
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("view", VIEWS)
def test_numbers_are_those_of_the_tensor(dtype, view):
    tensor = VIEWS[view](torch.arange(72).reshape(4, 3, 6).to(dtype))
    places = np.arange(tensor.numel())[::-1].copy()
    expected = tensor.contiguous().double().flatten().flip(0).numpy()
    assert np.array_equal(Numbers([tensor]).at(places), expected)


@pytest.mark.parametrize("view", VIEWS)
def test_complex_numbers_differ_where_either_part_does(view):
    plain = torch.arange(72).reshape(4, 3, 6)
    tensor = VIEWS[view](torch.complex(plain.float(), -plain.float()))
    places = np.arange(tensor.numel())
    expected = VIEWS[view](plain).double().flatten().numpy() * (1 - 0.618)
    assert Numbers([tensor]).at(places) == pytest.approx(expected)
    assert Numbers([tensor.conj()]).tensors[0].data_ptr() == tensor.data_ptr()
    assert Numbers([tensor.conj()]).at(places) == pytest.approx(expected / 0.382 * 1.618)
    assert Numbers([tensor.conj().imag]).at(places) == pytest.approx(expected / 0.382)


@pytest.mark.parametrize(
    "layout",
    [
        Concatenate(dim=1, shapes=((2, 3),) * 3), Stack(ranks=3, local=(2, 3)),
        Replicated(ranks=3, local=(2, 3), uses=2), PartialSum(ranks=3, local=(2, 3)),
    ],
    ids=lambda layout: layout.describe(),
)  # fmt: skip
def test_numbers_of_ranks_are_those_of_the_layout(layout):
    tensors = [torch.arange(6.0).reshape(2, 3) + 10 * rank for rank in range(3)]
    whole = layout.apply(tensors).flatten().numpy()
    for places in (np.arange(len(whole)), np.arange(len(whole))[1:2], np.array([5, 0, 5])):
        assert np.array_equal(Numbers(tensors).at(places, layout), whole[places])


@given(st.integers(0, 5000), st.integers(1, 600), st.sampled_from([1, 4, 8]), st.integers(0, 9))
def test_places_lie_in_the_tensor_and_are_as_many_as_asked_for(elements, count, block, seed):
    places = draw_positions((elements,), count, seed=seed, block=block)
    assert places.dtype == np.int64
    if elements <= count:
        assert np.array_equal(places, np.arange(elements))
    else:
        assert count <= len(places) < count + block
        assert 0 <= places.min() <= places.max() < elements
        runs = places.reshape(-1, block)
        assert np.array_equal(runs, np.minimum(runs[:, :1] + np.arange(block), elements - 1))
    assert np.array_equal(places, draw_positions((elements, 1), count, seed=seed, block=block))


def test_places_are_everywhere():
    places = draw_positions((100, 100), 2048, seed=0)
    assert np.histogram(places, bins=10, range=(0, 10_000))[0].min() > 150
    assert not np.array_equal(places, draw_positions((100, 100), 2048, seed=1))
    assert set(draw_positions((10,), 9, seed=0)) | set(draw_positions((10,), 9, seed=1)) >= {0, 9}


# Rare numbers -------------------------------------------------------------------------------------


def rare(tensor, **more):
    sides = Sides(tensor, [tensor], **more)
    return sides.positions[len(sides.uniform) :]


def test_of_sparse_tensors_those_that_are_not_zero_are_looked_at():
    tensor = torch.zeros(100_000)
    places = torch.arange(7, 100_000, 997)
    tensor[places] = 1.0
    assert rare(tensor).tolist() == places.tolist()
    assert rare(tensor + 5).tolist() == places.tolist()
    assert rare(tensor + 5).dtype == np.int64


def test_of_dense_tensors_nothing_more_is_looked_at():
    generator = torch.Generator().manual_seed(0)
    assert rare(torch.randn(100_000, generator=generator)).size == 0
    half = torch.randn(100_000, generator=generator).relu()
    assert rare(half).size == 0
    # All of a small one is looked at anyway.
    assert rare(torch.zeros(2048)).size == rare(torch.zeros(0)).size == 0


def test_of_many_rare_numbers_some_are_looked_at_each_once():
    tensor = torch.zeros(1 << 16, 20)
    tensor[::16] = 1.0
    found = rare(tensor.flatten())
    assert len(found) == len(np.unique(found)) == 2048
    assert np.array_equal(found, np.sort(found))
    assert tensor.flatten()[torch.from_numpy(found)].all()
    # From 16 of the 20 parts.
    assert len(np.unique(found >> 16)) == 16


def test_few_places_are_evenly_among_all():
    sides = Sides(torch.arange(100_000.0), [torch.arange(100_000.0)])
    assert len(sides.positions) == 2048
    assert np.array_equal(sides.few, sides.positions[::8])
    small = Sides(torch.arange(300.0), [torch.arange(300.0)])
    assert np.array_equal(small.few, np.arange(300))
    assert math.isclose(small.few_truth(Replicated(ranks=1, local=(300,)))[150], 0.0, abs_tol=0.1)
