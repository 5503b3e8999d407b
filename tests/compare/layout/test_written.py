"""Layouts as text: whatever can be found can be written down, and says the same when it is read."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from outgrow.compare.layout import (
    Chain,
    Concatenate,
    Identity,
    PartialSum,
    Rearrange,
    Replicated,
    Sections,
    Stack,
    find_stage_layouts,
)
from outgrow.compare.layout.chain import chain
from outgrow.compare.layout.hint import parse_hint
from outgrow.compare.layout.parts import Part, Repeat
from outgrow.compare.layout.simplified import simplified
from outgrow.compare.layout.written import hint_of
from tests.compare.layout.pairs import find_equal, gate_up, laid_out, pair, qkv

SIZES = st.sampled_from((1, 1, 2, 3, 4, 6))


def counting(*shape, start=0):
    return torch.arange(start, start + math.prod(shape)).reshape(shape)


def factors(draw, size):
    """The size as ordered factors, of which some are 1."""
    found = []
    while size > 1:
        found.append(draw(st.sampled_from([n for n in range(2, size + 1) if size % n == 0])))
        size //= found[-1]
    return [*found, *draw(st.sampled_from(([], [1])))]


@st.composite
def rearranges(draw, source):
    atoms = tuple(atom for size in source for atom in factors(draw, size))
    order = tuple(draw(st.permutations(range(len(atoms)))))
    shape, rest = [], [atoms[place] for place in order]
    while rest:
        count = draw(st.integers(1, len(rest)))
        shape.append(math.prod(rest[:count]))
        rest = rest[count:]
        shape += draw(st.sampled_from(([], [1])))
    return Rearrange(source=tuple(source), atoms=atoms, order=order, shape=tuple(shape))


@st.composite
def steps(draw, shape):
    """Some steps that a tensor of this shape can go through."""
    found = []
    for _ in range(draw(st.integers(0, 3))):
        dims = [dim for dim, size in enumerate(shape) if size > 1]
        kind = draw(st.sampled_from(("rearrange", "rearrange", "part", "repeat")))
        if kind == "rearrange" or not dims:
            step = draw(rearranges(shape))
        else:
            dim = draw(st.sampled_from(dims))
            runs = draw(st.sampled_from([n for n in range(1, shape[dim] + 1) if shape[dim] % n == 0]))
            length = shape[dim] // runs
            if kind == "part":
                start = draw(st.integers(0, length - 1))
                size = draw(st.integers(1, length - start))
                step = Part(source=shape, dim=dim, groups=runs, start=start, size=size, name="part")
            else:
                step = Repeat(source=shape, dim=dim, block=length, times=draw(st.integers(1, 3)))
        found.append(step)
        shape = step.shape
    return found, shape


@st.composite
def written(draw):
    """Layouts of both sides, and the shapes that they are for."""
    local = tuple(draw(st.lists(SIZES, min_size=1, max_size=4)))
    ranks = draw(st.sampled_from((1, 1, 2, 3)))
    shapes, first, shape = [local] * ranks, [], local
    if ranks > 1:
        dim = draw(st.integers(0, len(local) - 1))
        cut = draw(st.integers(1, local[dim]))
        sizes = (cut, local[dim] - cut) if cut < local[dim] else (cut,)
        combination = draw(
            st.sampled_from(
                (
                    Concatenate(dim=dim, shapes=tuple(shapes)),
                    Sections(dim=dim, ranks=ranks, local=local, sizes=sizes),
                    Stack(ranks=ranks, local=local),
                    Replicated(ranks=ranks, local=local, uses=ranks - 1),
                    PartialSum(ranks=ranks, local=local),
                )
            )
        )
        first, shape = [combination], combination.shape
    more, shape = draw(steps(shape))
    expected = tuple(draw(st.lists(SIZES, min_size=0, max_size=3)))
    taken, target = draw(steps(expected))
    if math.prod(target) == math.prod(shape):
        more = [*more, Rearrange(source=shape, atoms=shape, order=tuple(range(len(shape))), shape=target)]
    else:
        expected, taken = shape, []
    # A repetition never makes more than the larger side has.
    most = max(math.prod(expected), ranks * math.prod(local))
    assume(all(math.prod(step.shape) <= most for step in (*more, *taken)))
    return chain(*first, *more), chain(*taken), shapes, expected


@settings(max_examples=300, deadline=None)
@given(written())
def test_what_is_written_is_read_as_the_same(case):
    layout, expected_layout, shapes, expected = case
    text = hint_of(layout, expected_layout)
    told = parse_hint(text, shapes=shapes, target=expected)
    assert (told.layout, told.expected_layout) == (simplified(layout), simplified(expected_layout))
    assert hint_of(told.layout, told.expected_layout) == text
    tensors = [counting(*shape, start=1000 * rank) for rank, shape in enumerate(shapes)]
    assert torch.equal(told.layout.apply(tensors), layout.apply(tensors))
    assert torch.equal(
        told.expected_layout.apply([counting(*expected)]), expected_layout.apply([counting(*expected)])
    )


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_simplified_moves_the_same_numbers(data):
    source = tuple(data.draw(st.lists(SIZES, min_size=0, max_size=4)))
    one = data.draw(rearranges(source))
    other = data.draw(rearranges(one.shape))
    made = simplified(Chain((one, other)))
    numbers = counting(*source)
    assert torch.equal(made.apply([numbers]), other.apply([one.apply([numbers])]))


def test_several_rearrangements_are_one_where_they_can_be():
    there = Rearrange(source=(6, 4), atoms=(6, 4), order=(1, 0), shape=(4, 6))
    assert simplified(Chain((there, there.inverse))) == Identity()
    cut = Rearrange(source=(4, 6), atoms=(4, 2, 3), order=(1, 0, 2), shape=(2, 4, 3))
    assert isinstance(simplified(Chain((there, cut))), Rearrange)
    turned = Rearrange(source=(2, 3), atoms=(2, 3), order=(1, 0), shape=(2, 3))
    assert isinstance(simplified(Chain((turned, turned))), Chain)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 3)])
def test_empty_tensors_keep_their_shapes(shape):
    rearrange = Rearrange(source=shape, atoms=shape, order=tuple(range(len(shape))), shape=(*shape[::-1], 1))
    told = parse_hint(hint_of(rearrange), shapes=[shape], target=rearrange.shape)
    assert told.layout.apply([torch.ones(shape)]).shape == rearrange.shape


def test_empty_rearrangements_are_one():
    there = Rearrange(source=(0, 3), atoms=(0, 3), order=(1, 0), shape=(3, 0))
    again = Rearrange(source=(3, 0), atoms=(3, 0), order=(1, 0), shape=(0, 3, 1))
    made = simplified(Chain((there, again)))
    assert made.apply([torch.ones(0, 3)]).shape == (0, 3, 1)
    assert isinstance(made, Rearrange)


def test_what_nobody_knows_is_not_written():
    class Own:
        is_identity = False

    assert hint_of(Own()) is None
    assert hint_of(Identity(), Own()) is None


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# Multiples of a power of two, so that sums are exact.
WHOLE = (numbers(1, 8, 12, 16) * 256).round() / 256
QKV = numbers(96, 32)
HEADS = numbers(2, 12, 16)
FOUND = {
    "heads first": (pair(WHOLE, WHOLE[0].permute(1, 0, 2).contiguous()), "permute(1, 0, 2), unsqueeze(0)"),
    "heads merged": (
        pair(WHOLE, WHOLE[0].permute(1, 0, 2).flatten(1)),
        "reshape(12, 8, 16), permute(1, 0, 2), unsqueeze(0)",
    ),
    "shards": (pair(WHOLE, *(part.contiguous() for part in WHOLE.chunk(4, 1))), "concatenate(1)"),
    "replicas": (pair(WHOLE, WHOLE, WHOLE), "replicated"),
    "sums": (pair(WHOLE, 0.5 * WHOLE + 1, 0.5 * WHOLE - 1), "sum"),
    "key of fused": (pair(QKV[32:64].reshape(4, 8, 32).permute(1, 0, 2), QKV, fused=qkv(1)), None),
    "value of expected": (pair(QKV, QKV[64:].reshape(4, 8, 32), fused=qkv(2, "expected")), None),
    "gate of ranks": (
        pair(numbers(64, 8)[:32], *(torch.cat([numbers(64, 8)[16 * r : 16 * r + 16],
                                               numbers(64, 8)[32 + 16 * r : 48 + 16 * r]]) for r in range(2)),
             fused=gate_up(0)),
        None,
    ),
    "repeated heads": (pair(HEADS, HEADS.repeat_interleave(4, 0)), "identity; expected: repeat(0, 4, 1)"),
    "repeated by the expected run": (pair(HEADS.repeat_interleave(4, 0), HEADS), "repeat(0, 4, 1)"),
}  # fmt: skip


@pytest.mark.parametrize(("one", "text"), FOUND.values(), ids=FOUND)
def test_what_is_found_is_written(one, text):
    found = find_equal(one)
    hint = hint_of(found.layout, found.expected_layout)
    assert hint == text or text is None
    told = pair(
        one.expected.read(), *(record.read() for record in one.actual), fused=one.fused, layout_hint=hint
    )
    (again,) = find_stage_layouts([told])
    assert simplified(again.layout) == simplified(found.layout)
    assert simplified(again.expected_layout) == simplified(found.expected_layout)
    for here, there in zip(laid_out(again, told), laid_out(found, one), strict=True):
        assert torch.equal(here, there)


def test_told_replicas_that_differ_are_measured_where_they_are_farthest():
    wrong = WHOLE.clone()
    wrong[0, 0, 0, 0] += 1
    (found,) = find_stage_layouts([pair(WHOLE, WHOLE, wrong, WHOLE, layout_hint="replicated")])
    assert found.layout.uses == 1
    assert "rank 1 differs from rank 0" in found.reason
    (found,) = find_stage_layouts([pair(WHOLE, WHOLE, wrong, WHOLE, layout_hint="replicated(2)")])
    assert (found.layout.uses, found.reason) == (2, "as given")
    assert found.suspected["replicas_differ"]
    (found,) = find_stage_layouts([pair(WHOLE, WHOLE, WHOLE.clone(), layout_hint="replicated")])
    assert (found.layout.uses, found.reason, found.suspected) == (0, "as given", {})
