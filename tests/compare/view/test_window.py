"""Windows show what a slice of the whole tensor would, whatever the layout, and copy nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.layout import PartialSum, Rearrange
from outgrow.compare.view import Side, Spec
from outgrow.compare.view.lattice import find_lattice
from outgrow.compare.view.window import Window
from tests.compare.view.windows import bits, laid_out, plain_window, specs


@given(laid_out(), st.data())
def test_windows_show_what_slices_of_the_whole_do(made, data):
    stored, layout = made
    whole = layout.apply(stored)
    side = Side(stored, layout)
    assert (side.shape, side.dtype) == (tuple(whole.shape), whole.dtype)
    spec = data.draw(specs(side.shape))
    window, plain = Window(side, spec), plain_window(whole, spec)
    assert window.height == len(plain)
    if not plain:
        return
    assert window.width == len(plain[0])
    places = window.positions()
    assert places.tolist() == [[-1 if place is None else place for place in row] for row in plain]
    present = [place for row in plain for place in row if place is not None]
    numbers = whole.reshape(-1)[torch.tensor(present, dtype=torch.long)] if present else whole.reshape(-1)[:0]
    assert bits(side.take(places[places >= 0])) == bits(numbers)
    full = [row for row in plain if None not in row]
    if full and window.width:
        row = data.draw(st.integers(0, len(full) - 1))
        column = data.draw(st.integers(0, window.width - 1))
        height = data.draw(st.integers(1, len(full) - row))
        width = data.draw(st.integers(1, window.width - column))
        wanted = torch.tensor([line[column : column + width] for line in full[row : row + height]])
        block = window.block(row, height, column, width)
        assert block.shape == (height, width)
        assert bits(block) == bits(whole.reshape(-1)[wanted.reshape(-1)])


@given(laid_out(), st.data())
def test_numbers_are_found_again_where_they_are_said_to_stand(made, data):
    stored, layout = made
    side = Side(stored, layout)
    if not side.elements:
        return
    place = data.draw(st.integers(0, side.elements - 1))
    found = side.place(np.array([place]))
    (index,), rank = found.indices(), int(found.ranks[0])
    if found.summands == 1:
        assert bits(stored[rank][index]) == bits(layout.apply(stored).reshape(-1)[place])
    else:
        assert found.summands == len(stored)
        parts = [tensor[index].reshape(1) for tensor in stored]
        total = PartialSum(ranks=len(parts), local=(1,)).apply(parts)
        assert bits(total) == bits(layout.apply(stored).reshape(-1)[place])


@given(laid_out())
def test_a_lattice_is_what_the_layout_makes(made):
    stored, layout = made
    lattice = find_lattice(layout, stored)
    if lattice is None:
        return
    whole = layout.apply(stored)
    line = tuple(factor for group in lattice.dims for factor in group)
    assert bits(lattice.block((), line, 0, 1, 0, whole.numel())) == bits(whole)


def test_permuted_tensors_are_not_copied():
    stored = torch.zeros(6, 4, 8)
    layout = Rearrange(source=(6, 4, 8), atoms=(6, 4, 8), order=(1, 0, 2), shape=(4, 48))
    side = Side([stored], layout)
    window = Window(side, Spec.of_shape(side.shape))
    assert window.side.lattice.tensors[0].data_ptr() == stored.data_ptr()
    permuted = Rearrange(source=(6, 4, 8), atoms=(6, 4, 8), order=(1, 0, 2), shape=(4, 6, 8))
    side = Side([stored], permuted)
    block = Window(side, Spec(fixed=(2, 0, 0), rows=1, columns=2)).block(0, 6, 0, 8)
    assert block.data_ptr() == stored[0, 2].data_ptr()


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 0, 3)], ids=str)
def test_few_dims_have_windows_too(shape):
    side = Side([torch.ones(shape)])
    window = Window(side, Spec.of_shape(shape))
    assert window.height * window.width == side.elements
