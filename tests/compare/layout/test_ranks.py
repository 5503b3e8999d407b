"""Tensors of several ranks as one, and where each number of it comes from."""

import numpy as np
import pytest
import torch

from outgrow.compare.layout import (
    Chain,
    Concatenate,
    Identity,
    PartialSum,
    Rearrange,
    Replicated,
    Sections,
    Stack,
)
from outgrow.compare.layout.chain import chain, located, split_chain
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


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.complex64], ids=str)
def test_partial_sums_of_wide_numbers_are_added_in_their_dtype(dtype):
    parts = [torch.tensor([2**40]).to(dtype), torch.tensor([3]).to(dtype)]
    made = PartialSum(ranks=2, local=(1,)).apply(parts)
    assert made.dtype == dtype
    assert torch.equal(made, parts[0] + parts[1])


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


FOUND_FOR = "layouts hold for the shapes that they were found for"


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (lambda: Stack(ranks=2, local=(2, 3)).apply([torch.zeros(2, 3), torch.zeros(3, 2)]),
         "a layout for tensors of shapes [2, 3], [2, 3] was given [2, 3], [3, 2]", FOUND_FOR),
        (lambda: Part(source=(2, 8), dim=1, groups=2, start=0, size=2, name="key").apply([torch.zeros(8, 2)]),
         "a part of [2, 8] was asked of a tensor of shape [8, 2]", FOUND_FOR),
        (lambda: Repeat(source=(2, 8), dim=1, block=2, times=2).apply([torch.zeros(8, 2)]),
         "a repetition of [2, 8] was given a tensor of shape [8, 2]", FOUND_FOR),
        (lambda: Part(source=(2, 8), dim=1, groups=2, start=3, size=2, name="key"),
         "dim 1 of [2, 8] has no 2 runs with a part 3:5",
         "the runs must divide the dim, and the part lie within one"),
        (lambda: Part(source=(2, 8), dim=1, groups=3, start=0, size=2, name="key"),
         "dim 1 of [2, 8] has no 3 runs with a part 0:2",
         "the runs must divide the dim, and the part lie within one"),
        (lambda: Part(source=(2, 8), dim=1, groups=2, start=1, size=0, name="key"),
         "dim 1 of [2, 8] has no 2 runs with a part 1:1",
         "the runs must divide the dim, and the part lie within one"),
        (lambda: Part(source=(2, 8), dim=1, groups=2, start=-1, size=2, name="key"),
         "dim 1 of [2, 8] has no 2 runs with a part -1:1",
         "the runs must divide the dim, and the part lie within one"),
        (lambda: Concatenate(dim=0, shapes=((2, 3), (2, 4))),
         "tensors of shapes [2, 3], [2, 4] cannot be concatenated along dim 0",
         "all dims but that one must have equal sizes"),
        (lambda: Concatenate(dim=2, shapes=((2, 3), (2, 3))),
         "tensors of shapes [2, 3], [2, 3] cannot be concatenated along dim 2",
         "all dims but that one must have equal sizes"),
        (lambda: Concatenate(dim=-1, shapes=((2, 3), (2, 3))),
         "tensors of shapes [2, 3], [2, 3] cannot be concatenated along dim -1",
         "all dims but that one must have equal sizes"),
        (lambda: Sections(dim=1, ranks=2, local=(2, 6), sizes=(3, 2)),
         "dim 1 of [2, 6] has no sections of [3, 2]", "the sections must add up to the dim"),
        (lambda: Sections(dim=1, ranks=2, local=(2, 6), sizes=(6, 0)),
         "dim 1 of [2, 6] has no sections of [6, 0]", "the sections must add up to the dim"),
    ],
)  # fmt: skip
def test_every_refusal_names_the_shapes(make, message, hint):
    with pytest.raises(InputError) as caught:
        make()
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_layout_of_somebody_else_has_to_say_where_numbers_come_from():
    class Own:
        is_identity = False

        def describe(self):
            return "own"

    with pytest.raises(InputError) as caught:
        located(Own(), np.arange(3))
    assert (caught.value.message, caught.value.hint) == (
        "the layout 'own' cannot say where its numbers come from",
        "give it a method `locate`, as outgrow.compare.layout.Step describes",
    )


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        (Repeat(source=(6, 4), dim=0, block=1, times=2), "repeat each entry of dim 0 2 times"),
        (Repeat(source=(6, 4), dim=0, block=2, times=3), "repeat each 2 entries of dim 0 3 times"),
        (Repeat(source=(6, 4), dim=0, block=6, times=2), "repeat dim 0 2 times"),
        (Part(source=(6, 4), dim=0, groups=1, start=2, size=3, name="key"), "key at 2:5 of dim 0"),
        (LAYOUTS[0], "concatenate 3 ranks along dim 0"),
        (LAYOUTS[3], "concatenate 3 ranks along dim 1, each of the sections 4, 1, 1 by itself"),
        (LAYOUTS[4], "stack 3 ranks"),
        (LAYOUTS[5], "replicated on 3 ranks, measured on rank 2"),
        (LAYOUTS[6], "sum of 3 ranks"),
        (Chain(LAYOUTS[7].layouts[:3]),
         "concatenate 3 ranks along dim 1; key at 1:3 of each 6 of 3 along dim 1; "
         "repeat each 2 entries of dim 1 2 times"),
    ],
)  # fmt: skip
def test_layouts_are_told_in_words(layout, text):
    assert layout.describe() == text


def test_the_first_of_a_chain_takes_the_ranks():
    first, rest = split_chain(LAYOUTS[7])
    assert first == LAYOUTS[7].layouts[0]
    assert rest == Chain(LAYOUTS[7].layouts[1:])
    assert split_chain(first) == (first, Identity())
