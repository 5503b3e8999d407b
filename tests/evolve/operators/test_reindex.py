"""The arithmetic of a change of width, on numbers that can be followed by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.surgery.reindex import added_up, reindexed, shared_out, unit_table


def _of(units: int, sources: list[int]):
    leaf = Extent(units)
    return leaf.positions(leaf, torch.tensor(sources))


def test_reindexed_selects_and_repeats():
    weight = torch.arange(6.0).reshape(3, 2)
    assert reindexed(weight, 0, torch.tensor([2, 0, 0])).tolist() == [[4, 5], [0, 1], [0, 1]]
    assert reindexed(weight, 1, torch.tensor([1])).tolist() == [[1], [3], [5]]


def test_unit_table_finds_each_unit_of_a_product_between_other_channels():
    heads, dims, others = Extent(2), Extent(3), Extent(2)
    product, whole = Extent(6), Extent(8)
    product.refine("product", (heads, dims))
    whole.refine("sum", (others, product))
    found = whole.positions(heads, torch.tensor([0, 1, 1]))
    assert unit_table(found, 3).tolist() == [[2, 3, 4], [5, 6, 7], [8, 9, 10]]
    assert found.gather.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 5, 6, 7]


def test_copies_share_what_the_unit_weighed():
    weight = torch.tensor([[1.0, -4.0, 10.0]])
    sources = torch.tensor([0, 1, 2, 1, 1])
    shared = shared_out(
        weight, 1, _of(3, sources.tolist()), sources, generator=torch.Generator().manual_seed(0)
    )
    assert shared[0, [0, 2]].tolist() == [1.0, 10.0]
    assert shared[0, [1, 3, 4]].sum().item() == pytest.approx(-4.0, abs=1e-6)
    assert len(set(shared[0].tolist())) == 5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@given(seed=st.integers(0, 10_000))
def test_two_copies_add_up_without_rounding(dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(7, 5, generator=generator).to(dtype)
    sources = torch.tensor([0, 1, 2, 3, 4, 2, 0])
    shared = shared_out(weight, 1, _of(5, sources.tolist()), sources, generator=generator)
    assert torch.equal(shared[:, 2].double() + shared[:, 5].double(), weight[:, 2].double())
    assert torch.equal(shared[:, 0].double() + shared[:, 6].double(), weight[:, 0].double())
    back = added_up(shared, 1, _of(7, list(range(7))), 7, {5: 2, 6: 0})
    assert torch.equal(back[:, :5], weight)


def test_a_unit_that_weighs_nothing_gives_its_copies_opposite_weights():
    weight = torch.zeros(3, 2)
    shared = shared_out(
        weight, 1, _of(2, [0, 1, 1]), torch.tensor([0, 1, 1]), generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(shared[:, 1], -shared[:, 2])
    assert shared[:, 1].abs().min() > 0
    assert not shared[:, 0].any()
