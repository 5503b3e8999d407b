"""Tensors of several ranks as one, and where each number of it comes from."""

import numpy as np
import pytest
import torch

from outgrow.compare.layout import Chain, Concatenate, PartialSum, Rearrange, Replicated, Sections, Stack
from outgrow.compare.layout.chain import chain, located
from outgrow.compare.layout.parts import Part, Repeat
from outgrow.errors import InputError

SHAPE = (2, 6, 4)
SHAPES = (SHAPE,) * 3
LAYOUTS = [
    Concatenate(dim=0, shapes=SHAPES),
    Concatenate(dim=1, shapes=SHAPES),
    Concatenate(dim=2, shapes=((2, 6, 1), (2, 6, 3), (2, 6, 2))),
    Sections(dim=1, ranks=3, local=SHAPE, sizes=(4, 1, 1)),
    Stack(ranks=3, local=SHAPE),
    Replicated(ranks=3, local=SHAPE, uses=2),
    PartialSum(ranks=3, local=SHAPE),
    Chain(
        (
            Concatenate(dim=1, shapes=SHAPES),
            Part(source=(2, 18, 4), dim=1, groups=3, start=1, size=2, name="key"),
            Repeat(source=(2, 6, 4), dim=1, block=2, times=2),
            Rearrange(source=(2, 12, 4), atoms=(2, 12, 4), order=(1, 0, 2), shape=(12, 8)),
        )
    ),
]


def tensors_for(layout):
    first = layout.layouts[0] if isinstance(layout, Chain) else layout
    shapes = first.shapes if isinstance(first, Concatenate) else (SHAPE,) * 3
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(1000, shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.describe())
def test_numbers_come_from_where_located_says(layout):
    tensors = tensors_for(layout)
    made = layout.apply(tensors).reshape(-1)
    total = np.zeros(made.numel(), dtype=np.int64)
    for ranks, places in located(layout, np.arange(made.numel(), dtype=np.int64)):
        flat = [tensor.reshape(-1).numpy() for tensor in tensors]
        total += np.array([flat[rank][place] for rank, place in zip(ranks, places, strict=True)])
    assert np.array_equal(made.numpy(), total)


def test_part_in_runs_is_the_part_of_each_head():
    heads = torch.arange(5 * 4 * 3 * 2).reshape(5, 4, 3, 2)
    part = Part(source=(5, 24), dim=1, groups=4, start=2, size=2, name="key")
    assert torch.equal(part.apply([heads.reshape(5, 24)]), heads[:, :, 1].reshape(5, 8))
    assert part.describe() == "key at 2:4 of each 6 of 4 along dim 1"


def test_repeat_repeats_heads_one_by_one():
    heads = torch.arange(2 * 3 * 4).reshape(1, 3, 2, 4)
    repeat = Repeat(source=(1, 3, 2, 4), dim=1, block=1, times=2)
    assert torch.equal(repeat.apply([heads]), heads.repeat_interleave(2, dim=1))
    whole = Repeat(source=(1, 3, 2, 4), dim=1, block=3, times=2)
    assert torch.equal(whole.apply([heads]), heads.repeat(1, 2, 1, 1))


def test_partial_sums_of_bfloat16_are_rounded_once():
    parts = [torch.tensor([1.0]), torch.tensor([2.0**-8]), torch.tensor([2.0**-8])]
    made = PartialSum(ranks=3, local=(1,)).apply([part.bfloat16() for part in parts])
    assert made.dtype == torch.bfloat16
    assert made.item() == 1.0 + 2.0**-7


def test_partial_sums_leave_the_summands_alone():
    first = torch.ones(3)
    PartialSum(ranks=2, local=(3,)).apply([first, torch.ones(3)])
    assert torch.equal(first, torch.ones(3))


def test_chain_drops_what_does_nothing():
    identity = Rearrange(source=(2, 3), atoms=(2, 3), order=(0, 1), shape=(2, 3))
    assert chain(identity, identity).describe() == "identity"
    stack = Stack(ranks=2, local=(3,))
    assert chain(stack, identity) == stack


@pytest.mark.parametrize("layout", LAYOUTS[:7], ids=lambda layout: layout.describe())
def test_other_tensors_than_it_was_found_for_are_refused(layout):
    with pytest.raises(InputError, match="was given"):
        layout.apply([torch.zeros(SHAPE)] * 2)


def test_shapes_that_cannot_be_concatenated_are_refused():
    with pytest.raises(InputError, match="cannot be concatenated along dim 0"):
        Concatenate(dim=0, shapes=((2, 3), (2, 4)))


def test_part_beyond_its_run_is_refused():
    with pytest.raises(InputError, match="has no 2 runs"):
        Part(source=(2, 8), dim=1, groups=2, start=3, size=2, name="key")


def test_sections_that_do_not_add_up_are_refused():
    with pytest.raises(InputError, match="has no sections"):
        Sections(dim=1, ranks=2, local=(2, 6), sizes=(3, 2))
