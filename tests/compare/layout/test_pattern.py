"""What layouts of different sizes have in common."""

import pytest

from outgrow.compare.layout import Chain, Concatenate, PartialSum, Rearrange, Replicated, Sections, Stack
from outgrow.compare.layout.parts import Part, Repeat
from outgrow.compare.layout.pattern import pattern_of


def heads(tokens, count, size, *, merged=True):
    source = (tokens, count * size) if merged else (tokens, count, size)
    return Rearrange(
        source=source, atoms=(tokens, count, size), order=(1, 0, 2), shape=(1, count, tokens, size)
    )  # fmt: skip


def part(groups, start=0, dim=0):
    return Part(source=(12, 12), dim=dim, groups=groups, start=start, size=1, name="key")


def repeat(block, times=2, dim=0):
    return Repeat(source=(6, 6), dim=dim, block=block, times=times)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (heads(76, 8, 64), heads(5, 2, 3)),
        (heads(76, 8, 64), Rearrange(source=(4, 6), atoms=(4, 2, 3), order=(1, 0, 2), shape=(2, 4, 3))),
        (part(2), part(2, start=3)),
        (repeat(2), repeat(3)),
        (repeat(1), repeat(1, times=5)),
        (Stack(ranks=2, local=(3,)), Stack(ranks=4, local=(5, 5))),
        (Concatenate(dim=0, shapes=((2, 3),) * 2), Concatenate(dim=0, shapes=((4, 3),) * 4)),
        (Chain((part(2), heads(3, 4, 5))), Chain((part(2), heads(4, 3, 2)))),
    ],
    ids=lambda layout: layout.describe(),
)
def test_sizes_are_not_in_it(one, other):
    assert pattern_of(one) == pattern_of(other)
    hash(pattern_of(one))


def test_what_is_done_is_in_it():
    different = [
        heads(76, 8, 64),
        heads(76, 8, 64, merged=False),
        Rearrange(source=(4, 6), atoms=(4, 6), order=(1, 0), shape=(6, 4)),
        Rearrange(source=(4, 6), atoms=(4, 2, 3), order=(0, 2, 1), shape=(4, 6)),
        Rearrange(source=(6, 4), atoms=(2, 3, 4), order=(1, 0, 2), shape=(3, 2, 4)),
        part(2), part(1), part(2, dim=1),
        repeat(1), repeat(2), repeat(6), repeat(1, dim=1),
        Stack(ranks=2, local=(3,)), Replicated(ranks=2, local=(3,)), PartialSum(ranks=2, local=(3,)),
        Concatenate(dim=0, shapes=((2, 3),) * 2), Concatenate(dim=1, shapes=((2, 3),) * 2),
        Sections(dim=0, ranks=2, local=(2, 3), sizes=(1, 1)),
        Chain((part(2), heads(3, 4, 5))), Chain((part(2), repeat(2))),
    ]  # fmt: skip
    assert len({pattern_of(layout) for layout in different}) == len(different)


@pytest.mark.parametrize(
    ("layout", "source", "shape"),
    [
        (Rearrange(source=(4, 6), atoms=(4, 2, 3), order=(1, 0, 2), shape=(2, 12)), (1, 2), (1, 2)),
        (Rearrange(source=(1, 4, 6), atoms=(4, 6), order=(1, 0), shape=(6, 1, 4)), (1, 1), (1, 1)),
        # An atom that reaches over several dims counts in each of them.
        (Rearrange(source=(4, 5, 6), atoms=(20, 6), order=(1, 0), shape=(6, 20)), (1, 1, 1), (1, 1)),
        (Rearrange(source=(6, 20), atoms=(6, 20), order=(1, 0), shape=(4, 5, 6)), (1, 1), (1, 1, 1)),
        (Rearrange(source=(8, 3), atoms=(2, 4, 3), order=(0, 2, 1), shape=(6, 2, 2)), (2, 1), (2, 1, 1)),
    ],
    ids=lambda value: value.describe() if isinstance(value, Rearrange) else str(value),
)
def test_atoms_are_counted_in_each_dim(layout, source, shape):
    ((kind, here, order, there),) = pattern_of(layout)
    assert (kind, here, order, there) == ("rearrange", source, layout.merged[1], shape)
