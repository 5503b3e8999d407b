"""Extents against brute force: index tensors that are viewed, permuted, cut and joined in the same way."""

import math
import operator
from itertools import accumulate, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from outgrow.evolve.coupling.coupling import find_coupling
from outgrow.evolve.coupling.cutting import cut, regroup, split_front
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.size_attributes import units_and_constant
from outgrow.evolve.example_inputs import call_form
from tests.evolve.coupling.seen import Text


@st.composite
def trees(draw, leaf, depth=0):
    """An extent that holds `leaf`, and a function from a count of units to its old indices by brute force."""
    shape = draw(st.sampled_from(["leaf", "product", "sum"])) if depth < 3 else "leaf"
    if shape == "leaf":
        return leaf, lambda indices: indices
    inner, inside = draw(trees(leaf, depth=depth + 1))
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=2))
    place = draw(st.integers(0, len(sizes)))
    parts = [Extent(size, frozen="is fixed") for size in sizes]
    parts.insert(place, inner)
    if shape == "sum":
        whole = Extent(sum(part.size for part in parts))
        whole.refine("sum", tuple(parts))

        def gather(indices):
            pieces, offset = [], 0
            for part in parts:
                chosen = inside(indices) if part is inner else torch.arange(part.size)
                pieces.append(chosen + offset)
                offset += part.size
            return torch.cat(pieces)

        return whole, gather
    total = 1
    for part in parts:
        total *= part.size
    whole = Extent(total)
    whole.refine("product", tuple(parts))

    def gather(indices):
        grid = torch.arange(total).reshape([part.size for part in parts])
        return grid.index_select(place, inside(indices)).reshape(-1)

    return whole, gather


@settings(deadline=None, max_examples=60)
@given(data=st.data(), size=st.integers(2, 5))
def test_positions_are_those_of_an_index_tensor(data, size):
    leaf = Extent(size)
    whole, gather = data.draw(trees(leaf))
    sources = torch.tensor(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=8)))

    positions = whole.positions(leaf, sources)

    assert torch.equal(positions.gather, gather(sources))
    assert positions.gather.dtype == positions.unit.dtype == torch.int64
    units, constant = units_and_constant(whole, leaf)
    assert len(positions.gather) == units * len(sources) + constant
    assert int((positions.unit >= 0).sum()) == units * len(sources)


class Chain(nn.Module):
    """One activation, taken through a chain of views, permutations, cuts and joins, between two layers."""

    def __init__(self, steps, width):
        super().__init__()
        self.steps = steps
        self.before = nn.Linear(3, width)
        self.after = nn.Linear(self.rearranged(torch.zeros(1, width)).shape[1], 2)

    def rearranged(self, x):
        for step, number in self.steps:
            width = x.shape[1]
            if step == "heads" and width % number == 0:
                x = x.view(len(x), number, width // number).transpose(1, 2).reshape(len(x), width)
            elif step == "cut" and width % number == 0:
                x = torch.cat(list(reversed(x.chunk(number, dim=1))), dim=1)
            elif step == "twice":
                x = torch.cat([x, -x], dim=1)
            elif step == "pad":
                x = nn.functional.pad(x, (number, 1))
            elif step == "shuffle" and width % number == 0:
                x = x.reshape(len(x), number, -1).permute(0, 2, 1).flatten(1)
            elif step == "gate" and width % 2 == 0:
                x = nn.functional.glu(x, dim=1)
            elif step == "repeat":
                x = x.repeat(1, number)
        return x

    def forward(self, x):
        return self.after(self.rearranged(self.before(x)))


STEPS = st.tuples(
    st.sampled_from(["heads", "cut", "twice", "pad", "shuffle", "gate", "repeat"]), st.integers(2, 3)
)


@settings(deadline=None, max_examples=40)
@given(steps=st.lists(STEPS, max_size=4), width=st.sampled_from([4, 6, 12]))
def test_a_layer_behind_any_chain_reads_what_the_first_one_made(steps, width):
    """A leaf that is not frozen says of every index of the second layer which unit of the first it reads."""
    torch.manual_seed(0)
    model = Chain(steps, width).double()
    coupling = find_coupling(model, call_form(torch.randn(2, 3).double()))
    indices = model.rearranged(torch.arange(1, width + 1).double().expand(2, -1))[0]
    has_gate = any(step == "gate" for step, _ in steps)
    for leaf in coupling.leaves:
        is_made = any(place.weight == "before.weight" for place in coupling.occurrences(leaf))
        if coupling.why_frozen(leaf) is not None or leaf.size < 2 or not is_made:
            continue
        everything = torch.arange(leaf.size)
        made = coupling.weights["before.weight"][0].positions(leaf, everything)
        read = coupling.weights["after.weight"][1].positions(leaf, everything)
        if has_gate:  # values are mixed there, so that they no longer say where they are from
            assert int((read.unit >= 0).sum())
            continue
        for place, unit in enumerate(read.unit.tolist()):
            origin = int(indices[place].abs()) - 1
            assert unit == (-1 if origin < 0 else int(made.unit[origin]))


def test_regroup_takes_factors_apart_only_where_they_divide():
    assert regroup([Extent(12)], [3, 4]) is not None
    assert regroup([Extent(4), Extent(6)], [6, 4]) is None


def test_split_front_freezes_what_cannot_be_taken_apart():
    whole = Extent(5)
    front, back = split_front(Extent(6), 2)
    assert (front.size, back.size, front.frozen) == (2, 3, None)
    whole.refine("sum", (Extent(2), Extent(3)))
    split_front(whole, 5)
    assert all(leaf.frozen is None for leaf in whole.leaves())  # as one piece it stays what it is


def test_cut_through_a_product_goes_between_whole_units():
    heads, width = Extent(4), Extent(3)
    whole = Extent(12)
    whole.refine("product", (heads, width))
    pieces = cut(whole, [6, 6])
    assert pieces is not None
    assert [piece.size for piece in pieces] == [6, 6]
    assert heads.shape == "sum"
    assert cut(whole, [5, 7]) is None


def test_extents_that_do_not_fit_are_frozen_with_the_place():
    one, two = Extent(6), Extent(6)
    one.refine("product", (Extent(2), Extent(3)))
    two.refine("product", (Extent(4), Extent(1)))
    one.unify(two, "blocks.3")
    assert all("blocks.3" in (leaf.frozen or "") for leaf in one.leaves())


def test_what_is_said_of_one_holds_for_what_it_becomes_one_with():
    one, two = Extent(6), Extent(6)
    one.freeze("is a vocabulary")
    two.reduce("norm", "mean")
    one.unify(two, "add")
    assert one.find() is two.find()
    assert two.find().frozen == "is a vocabulary"
    assert {each.op for each in one.find().reduced_by} == {"mean"}


def test_what_is_said_of_a_whole_holds_for_its_parts_before_and_after():
    """A product that only a view made stands in no weight: what it meets has to reach its factors."""
    one, two, late = Extent(2), Extent(3), Extent(6, frozen="comes from the inputs")
    view = Extent(6)
    view.refine("product", (two, one))
    view.freeze("is looked at")
    view.reduce("norm", "mean")
    assert one.frozen == two.frozen == "is looked at"
    assert one.reduced_by == two.reduced_by
    assert one.reduced_by
    part = Extent(3)
    late.refine("product", (Extent(2), part))
    assert part.frozen == "comes from the inputs"


def joined(shape, *sizes):
    whole = Extent(sum(sizes) if shape == "sum" else math.prod(sizes))
    whole.refine(shape, tuple(Extent(size) for size in sizes))
    return whole


@pytest.mark.parametrize(
    ("one", "two", "both"),
    [
        (("product", 2, 6), ("product", 4, 3), "[2*2]*3"),
        (("product", 4, 3), ("product", 2, 6), "2*[2*3]"),
        (("product", 2, 2, 3), ("product", 12, 1), None),
        (("product", 6, 4), ("product", 4, 6), None),
        (("sum", 2, 4), ("sum", 3, 3), "[2+1]+3"),
        (("sum", 3, 3), ("sum", 2, 4), "2+[1+3]"),
        (("sum", 1, 2, 3), ("sum", 4, 2), "[1+[2+1]]+2"),
        (("sum", 2, 2), ("product", 2, 2), None),
    ],
)
def test_two_ways_of_being_made_up_become_the_finest(one, two, both):
    one, two = joined(*one), joined(*two)
    one.unify(two, "add")
    if both is None:
        why = "(add joins dims that are made up differently)"
        for whole in (one, two):
            assert all(text.endswith(why) for text in map(Text({}).extent, whole.leaves()))
        assert one.find() is not two.find()
    else:
        assert Text({}).extent(one) == both
        assert one.find() is two.find()


def nested(data, shape, sizes):
    """Parts of these sizes, some of them taken together to parts of the same kind."""
    parts = [Extent(size) for size in sizes]
    while len(parts) > 2 and data.draw(st.booleans()):
        first = data.draw(st.integers(0, len(parts) - 2))
        together = Extent(
            (sum if shape == "sum" else math.prod)(one.size for one in parts[first : first + 2])
        )
        together.refine(shape, tuple(parts[first : first + 2]))
        parts[first : first + 2] = [together]
    whole = Extent((sum if shape == "sum" else math.prod)(sizes))
    whole.refine(shape, tuple(parts))
    return whole


@settings(deadline=None, max_examples=60)
@given(data=st.data(), total=st.integers(2, 9))
def test_two_ways_of_being_cut_become_all_of_the_cuts(data, total):
    cuts = [data.draw(st.sets(st.integers(1, total - 1), min_size=1)) for _ in range(2)]
    one, two = (
        nested(data, "sum", [high - low for low, high in pairwise([0, *sorted(each), total])])
        for each in cuts
    )
    one.unify(two, "add")
    for whole in (one, two):
        sizes = [leaf.size for leaf in whole.leaves()]
        assert set(accumulate(sizes)) == cuts[0] | cuts[1] | {total}
    assert one.leaves() == two.leaves()
    assert all(leaf.frozen is None for leaf in one.leaves())


@settings(deadline=None, max_examples=60)
@given(data=st.data(), pair=st.tuples(*[st.lists(st.sampled_from([2, 3]), min_size=2, max_size=4)] * 2))
def test_two_ways_of_having_factors_become_all_of_them_or_are_fixed(data, pair):
    wholes = [math.prod(each) for each in pair]
    sizes = [[*each, math.lcm(*wholes) // whole] for each, whole in zip(pair, wholes, strict=True)]
    sizes = [[size for size in each if size > 1] for each in sizes]
    one, two = (nested(data, "product", each) for each in sizes)
    strides = sorted({stride for each in sizes for stride in accumulate(each, operator.mul)})
    fits = all(high % low == 0 for low, high in pairwise(strides))
    one.unify(two, "add")
    assert all((leaf.frozen is None) == fits for whole in (one, two) for leaf in whole.leaves())
    if fits:
        assert one.leaves() == two.leaves()
        assert list(accumulate((leaf.size for leaf in one.leaves()), operator.mul)) == strides


@pytest.mark.parametrize("is_first", [True, False])
def test_a_leaf_becomes_what_the_other_one_is_made_of(is_first):
    leaf, whole = Extent(6, frozen="is fixed"), joined("product", 2, 3)
    leaf.reduce("norm", "mean")
    (leaf if is_first else whole).unify(whole if is_first else leaf, "add")
    assert Text({}).extent(leaf) == Text({}).extent(whole) == "2(is fixed)~norm.mean*3(is fixed)~norm.mean"
    leaf.unify(whole, "again")
    assert Text({}).extent(leaf) == "2(is fixed)~norm.mean*3(is fixed)~norm.mean"


def test_dims_of_two_sizes_are_fixed_both_and_not_made_one():
    one, two = Extent(2), Extent(3)
    one.unify(two, "add")
    assert one.frozen == two.frozen == "add joins dims of 2 and 3"
    assert one.find() is not two.find()


def test_the_first_reason_stays():
    leaf = Extent(2)
    leaf.freeze("is a vocabulary")
    leaf.freeze("is something else")
    assert leaf.frozen == "is a vocabulary"


def test_extents_that_became_one_stay_one_through_a_long_row():
    row = [Extent(2) for _ in range(5)]
    for one, two in pairwise(row):
        one.unify(two, "add")
    row[0].freeze("is fixed")
    assert {one.find() for one in row} == {row[-1]}
    assert row[-1].frozen == "is fixed"


def test_only_a_leaf_is_refined():
    with pytest.raises(AssertionError, match=r"^only a leaf is refined"):
        joined("sum", 2, 3).refine("product", (Extent(5),))


def test_leaves_are_repeated_where_they_occur_repeatedly():
    leaf, other = Extent(2), Extent(3)
    whole = Extent(10)
    whole.refine("product", (joined("sum", 2, 3), leaf))
    assert [one.size for one in whole.leaves()] == [2, 3, 2]
    twice = Extent(7)
    twice.refine("sum", (leaf, other, leaf))
    assert twice.leaves() == [leaf, other, leaf]
    assert [one.size for one in whole.factors()] == [5, 2]
