"""The layout of one pair: found in spite of noise and faults, and never a wrong one."""

import itertools
import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from outgrow.compare.layout import Rearrange, find_stage_layouts
from outgrow.compare.layout.pair_search import search_pair
from outgrow.compare.layout.rearrange import squeezed
from tests.compare.layout.pairs import find_equal, gate_up, laid_out, pair, qkv


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@st.composite
def moved(draw):
    """A tensor, and the same with its axes permuted, some merged, on one to three ranks."""
    sizes = draw(st.lists(st.sampled_from((2, 3, 4, 5, 6, 7, 8, 9)), min_size=2, max_size=4, unique=True))
    ranks = draw(st.sampled_from((1, 1, 2, 3)))
    sizes[draw(st.integers(0, len(sizes) - 1))] *= ranks * 5
    expected = numbers(*sizes, seed=draw(st.integers(0, 99)))
    order = draw(st.permutations(range(len(sizes))))
    given = expected.permute(order)
    dims = [dim for dim in range(given.ndim) if given.shape[dim] % ranks == 0]
    parts = [part.contiguous() for part in given.chunk(ranks, draw(st.sampled_from(dims)))]
    place = draw(st.integers(0, given.ndim - 2))
    if draw(st.booleans()):
        parts = [part.flatten(place, place + 1) for part in parts]
    if draw(st.booleans()):
        parts = [part.unsqueeze(place) for part in parts]
    return expected, parts


@settings(max_examples=30)
@given(moved())
def test_whatever_was_moved_is_found_and_undone(case):
    expected, parts = case
    assume(expected.numel() >= 200)
    # Equal shapes are not permuted, by rule; neither is what several ranks make with no permutation.
    whole = [torch.cat(parts, dim).shape for dim in range(parts[0].ndim)]
    assume(all(squeezed(shape) != squeezed(expected.shape) for shape in whole))
    (found,) = find_stage_layouts([pair(expected, *parts)])
    assert found.layout is not None, found.reason
    assert found.reason is None
    assert torch.equal(found.layout.apply(parts), expected), found.layout.describe()


@settings(max_examples=30)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(0, 9),
)
def test_what_has_nothing_in_common_is_never_confirmed(source, target, seed):
    target = [*target, math.prod(source)]
    source = [*source, math.prod(target[:-1])]
    expected, actual = numbers(*target, seed=seed), numbers(*source, seed=seed + 100)
    found = search_pair(expected, [actual]).found
    assert found.ground not in ("confirmed", "partly") or squeezed(source) == squeezed(target)


def heads_first(x):
    return [x[0].contiguous()]


def merged(x):
    return [x[0].flatten(1)]


def over_ranks(x):
    return [part[0].flatten(1) for part in x.chunk(2, 2)]


FORMS = [heads_first, merged, over_ranks]


@pytest.mark.parametrize("noise", [1e-2, 1e-1])
@pytest.mark.parametrize("lay", FORMS)
def test_noise_does_not_hide_it(lay, noise):
    x = numbers(1, 38, 8, 16)
    expected = x.transpose(1, 2).contiguous()
    (found,) = find_stage_layouts([pair(expected, *lay(x + noise * numbers(*x.shape, seed=1)))])
    assert torch.equal(found.layout.apply(lay(x)), expected)
    assert found.reason is None


def half_of_tokens(x):
    return torch.cat([x[:, :19], numbers(1, 19, 8, 16, seed=2)], 1)


def head_exchanged(x):
    return x[:, :, [0, 1, 2, 6, 4, 5, 3, 7]]


FAULTS = {
    "half of the tokens": half_of_tokens,
    "heads exchanged": head_exchanged,
    "scaled": lambda x: 0.125 * x,
    "noise of 100 %": lambda x: x + numbers(*x.shape, seed=3),
    "a third is NaN": lambda x: x.masked_fill(numbers(*x.shape, seed=4) > 0.5, math.nan),
    "some infinite": lambda x: x.masked_fill(numbers(*x.shape, seed=4) > 1, -math.inf),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("lay", FORMS)
def test_fault_does_not_lead_astray(lay, fault):
    x = numbers(1, 38, 8, 16)
    expected = x.transpose(1, 2).contiguous()
    (found,) = find_stage_layouts([pair(expected, *lay(FAULTS[fault](x)))])
    assert found.layout is not None, found.reason
    assert torch.equal(found.layout.apply(lay(x)), expected)


@pytest.mark.parametrize(
    "fault",
    [lambda x: x.roll(1, 1), lambda x: x.roll(8, 3), lambda x: -x.flip(1)],
    ids=["shifted", "halves swapped", "reversed"],
)
@pytest.mark.parametrize("lay", FORMS)
def test_fault_that_leaves_nothing_in_place_is_at_most_refused(lay, fault):
    x = numbers(1, 38, 8, 16)
    expected = x.transpose(1, 2).contiguous()
    (found,) = find_stage_layouts([pair(expected, *lay(fault(x)))])
    if found.layout is None:
        assert "the numbers confirm none" in found.reason
    else:
        assert torch.equal(found.layout.apply(lay(x)), expected)
        assert found.reason is not None


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randint(1000, (38, 16)),
        lambda: numbers(38, 16) > 0,
        lambda: numbers(38, 16).to(torch.bfloat16),
        lambda: numbers(38, 16).to(torch.float8_e4m3fn),
        lambda: torch.complex(numbers(38, 16), numbers(38, 16, seed=1)),
        lambda: torch.randint(256, (38, 16), dtype=torch.uint8),
        lambda: torch.eye(16)[torch.randint(16, (380,))],
        lambda: numbers(16, 38).T,
    ],
    ids=["int64", "bool", "bfloat16", "float8", "complex", "uint8", "one-hot", "strided"],
)
def test_any_kind_of_numbers_tells_its_layout(make):
    tensor = make()
    (found,) = find_stage_layouts([pair(tensor, tensor.T.contiguous())])
    assert found.layout.describe() == "transpose(0, 1)"
    assert found.reason is None


def test_huge_sparse_tensor_is_told_by_its_few_numbers():
    expected = torch.zeros(1000, 700)
    expected[torch.randint(1000, (300,)), torch.randint(700, (300,))] = 1.0
    actual = expected.reshape(1000, 7, 100).transpose(0, 1).contiguous()
    found = find_equal(pair(expected, actual))
    assert found.reason is None


@pytest.mark.parametrize("value", [0.0, 3.0, math.nan])
def test_constants_fit_every_map_and_get_the_simplest(value):
    expected = torch.full((6, 8, 64), value)
    (found,) = find_stage_layouts([pair(expected, torch.full((64, 48), value))])
    assert found.layout.apply([torch.zeros(64, 48)]).shape == expected.shape
    assert found.reason is not None


@pytest.mark.parametrize(
    ("expected", "actual"),
    [((), (1,)), ((1,), ()), ((1, 1), (1,)), ((0, 3), (3, 0)), ((0,), (2, 0)), ((1, 5), (5,))],
    ids=str,
)
def test_degenerate_shapes_are_put_right_without_reading(expected, actual):
    (found,) = find_stage_layouts([pair(torch.ones(expected), torch.ones(actual))])
    assert tuple(found.layout.apply([torch.ones(actual)]).shape) == expected
    assert found.reason is None


def test_empty_shards_are_put_together():
    find_equal(pair(torch.ones(0, 4), torch.ones(0, 2), torch.ones(0, 2)))


def test_ambiguous_map_is_refused_and_not_guessed():
    expected, actual = numbers(8, 8, 6), numbers(8, 6, 8, seed=1)
    (found,) = find_stage_layouts([pair(expected, actual)])
    assert found.layout is None
    assert "the shapes allow several maps and the numbers confirm none" in found.reason


def test_only_map_of_the_shapes_is_taken_with_a_word_of_warning():
    (found,) = find_stage_layouts([pair(numbers(8, 9), numbers(9, 8, seed=1))])
    assert found.layout.describe() == "transpose(0, 1)"
    assert "the numbers do not confirm it" in found.reason


def test_padded_tensor_is_refused():
    x = numbers(76, 50)
    (found,) = find_stage_layouts([pair(x, torch.cat([x, torch.zeros(76, 14)], 1).T)])
    assert found.layout is None
    assert "padded or cut tensors are not laid out" in found.reason


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize(
    ("form", "side"),
    [
        *itertools.product(("concatenated", "each head", "each group"), ("actual", "expected")),
        ("two ranks", "actual"),
    ],
)
def test_part_of_fused_tensor_in_every_order(form, index, side):
    groups = 8 if form == "each head" else 2
    parts = numbers(37, 8, 16), numbers(37, groups, 16, seed=1), numbers(37, groups, 16, seed=2)
    query, key, value = parts
    if form == "concatenated":
        whole = [torch.cat([part.flatten(1) for part in parts], 1)]
    elif form == "each head":
        whole = [torch.stack(parts, 2).flatten(1)]
    elif form == "each group":
        runs = [query.reshape(37, 2, 4, 16), key[:, :, None], value[:, :, None]]
        whole = [torch.cat(runs, 2).flatten(1)]
    else:
        pieces = zip(*(part.chunk(2, 1) for part in parts), strict=True)
        whole = [torch.cat([part.flatten(1) for part in piece], 1) for piece in pieces]
    alone = parts[index].transpose(0, 1)[None].contiguous()
    if side == "actual":
        find_equal(pair(alone, *whole, fused=qkv(index)))
    else:
        find_equal(pair(whole[0], alone, fused=qkv(index, "expected")))


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("is_interleaved", [False, True])
def test_gate_and_up(index, is_interleaved):
    parts = numbers(64, 24), numbers(64, 24, seed=1)
    whole = torch.stack(parts, 1).flatten(0, 1) if is_interleaved else torch.cat(parts)
    find_equal(pair(parts[index], whole, fused=gate_up(index)))


def test_repeated_heads_are_all_compared():
    heads = numbers(1, 2, 37, 16)
    repeated = heads.repeat_interleave(4, dim=1)[0].transpose(0, 1).contiguous()
    found = find_equal(pair(heads, repeated))
    assert found.describe() == (
        "[37, 8, 16] -> [1, 8, 37, 16]: permute(1, 0, 2); expected: repeat each entry of dim 1 4 times"
    )
    repeated[5, 7, 3] += 1
    wrong = pair(heads, repeated)
    (found,) = find_stage_layouts([wrong])
    actual, expected = laid_out(found, wrong)
    assert (actual != expected).sum() == 1


def test_heads_that_the_expected_run_repeats():
    heads = numbers(37, 2, 16)
    find_equal(pair(heads.repeat_interleave(4, dim=1).transpose(0, 1)[None].contiguous(), heads.flatten(1)))


def test_copies_of_shards_are_all_compared():
    x = numbers(37, 64)
    one, other = x.chunk(2, 1)
    found = find_equal(pair(x, one, other, one, other))
    assert found.layout.describe() == "concatenate 4 ranks along dim 1"
    find_equal(pair(x, one, one, other, other))


def test_fused_on_both_sides_over_ranks_with_grouped_heads():
    query, key, value = numbers(37, 64), numbers(37, 16, seed=1), numbers(37, 16, seed=2)
    pieces = zip(*(part.chunk(2, 1) for part in (query, key, value)), strict=True)
    ranks = [torch.cat(piece, 1) for piece in pieces]
    found = find_equal(pair(torch.cat([query, key, value], 1), *ranks, stage="qkv"))
    assert found.layout.describe() == (
        "concatenate 2 ranks along dim 1, each of the sections 32, 8, 8 by itself"
    )


def test_non_contiguous_tensors_are_sampled_where_they_stand():
    x = numbers(8, 76, 64)
    found = find_equal(pair(x.transpose(0, 1).contiguous(), x.expand(8, 76, 64).transpose(1, 2)))
    assert isinstance(found.layout, Rearrange)
