"""Windows show what a slice of the whole tensor would, whatever the layout, and copy nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.layout import Chain, Concatenate, Identity, PartialSum, Rearrange, Replicated, Stack
from outgrow.compare.view import Side, Spec
from outgrow.compare.view.lattice import find_lattice
from outgrow.compare.view.window import Window
from outgrow.errors import InputError
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
    assert bits(side.take(places[places >= 0]), layout) == bits(numbers, layout)
    full = [row for row in plain if None not in row]
    if full and window.width:
        row = data.draw(st.integers(0, len(full) - 1))
        column = data.draw(st.integers(0, window.width - 1))
        height = data.draw(st.integers(1, len(full) - row))
        width = data.draw(st.integers(1, window.width - column))
        wanted = torch.tensor([line[column : column + width] for line in full[row : row + height]])
        block = window.block(row, height, column, width)
        assert block.shape == (height, width)
        assert bits(block, layout) == bits(whole.reshape(-1)[wanted.reshape(-1)], layout)


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
        assert bits(total, layout) == bits(layout.apply(stored).reshape(-1)[place], layout)


@given(laid_out())
def test_a_lattice_is_what_the_layout_makes(made):
    stored, layout = made
    lattice = find_lattice(layout, stored)
    if lattice is None:
        return
    whole = layout.apply(stored)
    line = tuple(factor for group in lattice.dims for factor in group)
    assert bits(lattice.block((), line, 0, 1, 0, whole.numel()), layout) == bits(whole, layout)


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


@pytest.mark.parametrize(
    "layout",
    [
        Concatenate(dim=0, shapes=((2, 3), (2, 3))),
        Replicated(ranks=2, local=(2, 3), uses=1),
        PartialSum(ranks=2, local=(2, 3)),
    ],
    ids=lambda layout: type(layout).__name__,
)
def test_ranks_of_two_dtypes_are_what_the_layout_makes_of_them(layout):
    stored = [torch.rand(2, 3).bfloat16(), torch.rand(2, 3)]
    side, whole = Side(stored, layout), layout.apply(stored)
    assert (side.shape, side.dtype) == (tuple(whole.shape), whole.dtype)
    assert bits(side.take(np.arange(whole.numel()))) == bits(whole)
    window = Window(side, Spec.of_shape(side.shape))
    assert bits(window.block(0, window.height, 0, window.width)) == bits(whole)


def test_ranks_that_a_layout_takes_apart_are_found_by_all_their_digits():
    stored = [torch.full((3,), float(rank)) for rank in range(4)]
    apart = Rearrange(source=(4, 3), atoms=(2, 2, 3), order=(1, 2, 0), shape=(2, 3, 2))
    layout = Chain((Stack(ranks=4, local=(3,)), apart))
    side, whole = Side(stored, layout), layout.apply(stored)
    for row in range(2):
        for column in range(2):
            spec = Spec(fixed=(row, 0, column), columns=1)
            assert Window(side, spec).block(0, 1, 0, 3)[0].tolist() == whole[row, :, column].tolist()


class Flipped:
    """A layout of somebody else's, which says nothing about itself."""

    is_identity = False

    def apply(self, tensors):
        return tensors[0].flip(0)

    def describe(self):
        return "flipped"


def test_layouts_of_somebody_else_show_their_numbers_but_not_their_places():
    stored = torch.arange(6.0).view(3, 2)
    side = Side([stored], Flipped())
    assert side.shape == (3, 2)
    assert side.take(np.array([0, 5])).tolist() == [4.0, 1.0]
    assert (
        Window(side, Spec(fixed=(0, 0), rows=0, columns=1)).block(0, 3, 0, 2).tolist()
        == stored.flip(0).tolist()
    )
    with pytest.raises(InputError, match="cannot say"):
        side.place(np.array([0]))


@pytest.mark.parametrize(
    ("layout", "shapes"),
    [
        (Identity(), [(2,), (2,)]),
        (Rearrange(source=(2, 3), atoms=(2, 3), order=(1, 0), shape=(3, 2)), [(3, 2)]),
        (Concatenate(dim=0, shapes=((2, 3), (2, 3))), [(2, 3), (1, 3)]),
        (Stack(ranks=2, local=(3,)), [(3,)]),
    ],
    ids=str,
)
def test_tensors_that_a_layout_does_not_take_are_refused(layout, shapes):
    with pytest.raises(InputError, match="was given"):
        Side([torch.zeros(shape) for shape in shapes], layout)


def test_large_tensors_whose_ranks_are_not_equal_are_read_where_they_are_looked_at(monkeypatch):
    monkeypatch.setattr("outgrow.compare.view.side._SMALL_BYTES", 0)
    stored = [torch.rand(2, 3), torch.rand(5, 3)]
    layout = Concatenate(dim=0, shapes=((2, 3), (5, 3)))
    monkeypatch.setattr(Concatenate, "apply", None)
    side = Side(stored, layout)
    assert side.lattice is None
    window = Window(side, Spec(fixed=(0, 0), rows=0, columns=1))
    assert torch.equal(window.block(1, 4, 1, 2), torch.cat(stored)[1:5, 1:3])


def test_a_folded_line_may_end_beside_the_window():
    side = Side([torch.arange(8.0)])
    window = Window(side, Spec(fixed=(0,), columns=0, fold=3, width=2))
    assert window.rest == 2
    assert window.block(0, 3, 0, 2).tolist() == [[0, 1], [3, 4], [6, 7]]


def test_a_line_folded_beyond_its_end_is_one_row():
    side = Side([torch.arange(8.0)])
    for spec in (Spec(fixed=(0,), columns=0, fold=10**30), Spec(fixed=(), flat=True, fold=2**62)):
        window = Window(side, spec)
        assert (window.height, window.width, window.rest) == (1, 8, 8)
        assert window.positions().tolist() == [list(range(8))]
        assert window.block(0, 1, 2, 5).tolist() == [[2, 3, 4, 5, 6]]
