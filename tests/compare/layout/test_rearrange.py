"""Squeeze, split, permute and merge: said as calls of torch, located number by number."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.layout import Rearrange
from outgrow.errors import InputError


def rearrange(source, atoms, order, shape):
    return Rearrange(source=tuple(source), atoms=tuple(atoms), order=tuple(order), shape=tuple(shape))


@st.composite
def rearrangements(draw):
    atoms = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    order = draw(st.permutations(range(len(atoms))))
    moved = [atoms[place] for place in order]

    def merged(sizes):
        shape = []
        for size in sizes:
            if shape and draw(st.booleans()):
                shape[-1] *= size
            else:
                shape.append(size)
        return shape

    return rearrange(merged(atoms), atoms, order, merged(moved))


@given(rearrangements())
def test_numbers_come_from_where_locate_says(layout):
    tensor = torch.arange(np.prod(layout.source)).reshape(layout.source)
    made = layout.apply([tensor])
    assert tuple(made.shape) == layout.shape
    positions = np.arange(tensor.numel(), dtype=np.int64)
    assert np.array_equal(made.reshape(-1).numpy(), layout.locate(positions))


@given(rearrangements())
def test_inverse_leads_back(layout):
    tensor = torch.arange(np.prod(layout.source)).reshape(layout.source)
    assert torch.equal(layout.inverse.apply([layout.apply([tensor])]), tensor)


@given(rearrangements())
def test_description_is_torch_that_does_the_same(layout):
    text = layout.describe()
    tensor = torch.arange(np.prod(layout.source)).reshape(layout.source)
    made = tensor
    calls = text.rpartition(": ")[2]
    if calls != "identity":
        for call in calls.replace("), ", ")\n").split("\n"):
            made = eval(f"made.{call}", {"made": made})
    assert torch.equal(made.reshape(layout.shape), layout.apply([tensor]))


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        (rearrange([4, 5], [4, 5], [0, 1], [4, 5]), "identity"),
        (rearrange([4, 5], [4, 5], [1, 0], [5, 4]), "transpose(0, 1)"),
        (rearrange([8, 76, 64], [8, 76, 64], [0, 1, 2], [1, 8, 76, 64]),
         "[8, 76, 64] -> [1, 8, 76, 64]: unsqueeze(0)"),
        (rearrange([1, 8, 64], [8, 64], [0, 1], [8, 64]), "[1, 8, 64] -> [8, 64]: squeeze(0)"),
        (rearrange([76, 8, 64], [76, 8, 64], [1, 0, 2], [1, 8, 76, 64]),
         "[76, 8, 64] -> [1, 8, 76, 64]: permute(1, 0, 2)"),
        (rearrange([1, 76, 8, 64], [76, 8, 64], [1, 0, 2], [1, 8, 76, 64]),
         "[1, 76, 8, 64] -> [1, 8, 76, 64]: permute(0, 2, 1, 3)"),
        (rearrange([76, 512], [76, 8, 64], [1, 0, 2], [1, 8, 76, 64]),
         "[76, 512] -> [1, 8, 76, 64]: reshape(76, 8, 64), permute(1, 0, 2)"),
        (rearrange([8, 76, 64], [8, 76, 64], [1, 0, 2], [76, 512]),
         "[8, 76, 64] -> [76, 512]: permute(1, 0, 2), reshape(76, 512)"),
        (rearrange([76, 512], [76, 512], [0, 1], [76, 8, 64]),
         "[76, 512] -> [76, 8, 64]: reshape(76, 8, 64)"),
    ],
)  # fmt: skip
def test_description_is_short_and_exact(layout, text):
    assert layout.describe() == text


def test_result_is_a_view_where_nothing_is_merged_out_of_order():
    tensor = torch.arange(24.0).reshape(2, 12)
    made = rearrange([2, 12], [2, 3, 4], [1, 0, 2], [3, 2, 4]).apply([tensor])
    assert made.data_ptr() == tensor.data_ptr()


@pytest.mark.parametrize(
    ("shape", "other"), [((), (1,)), ((1,), ()), ((1, 1), ()), ((0, 3), (3, 0))], ids=str
)
def test_scalars_and_empty_tensors_have_a_shape_too(shape, other):
    made = rearrange(shape, shape, range(len(shape)), other).apply([torch.zeros(shape)])
    assert tuple(made.shape) == other


def test_atoms_that_do_not_fit_are_refused():
    with pytest.raises(InputError) as caught:
        rearrange([4, 5], [4, 5], [0, 0], [4, 5])
    assert caught.value.message == "[4, 5] cannot be put as [4, 5] by atoms [4, 5] in the order [0, 0]"
    assert caught.value.hint == (
        "atoms must multiply to the elements of both shapes, and the order name each atom once"
    )


def test_other_shape_than_it_was_found_for_is_refused():
    with pytest.raises(InputError) as caught:
        rearrange([4, 5], [4, 5], [1, 0], [5, 4]).apply([torch.zeros(5, 4)])
    assert caught.value.message == "a layout for [4, 5] was given a tensor of shape [5, 4]"
    assert caught.value.hint == "layouts hold for the shapes that they were found for"
