"""Layouts put together by hand, the usual ones for two shapes, and pictures of them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.layout import Rearrange
from outgrow.compare.layout.by_hand import common_layouts, dims_of, hint_by_hand
from outgrow.compare.layout.hint import parse_hint
from outgrow.compare.layout.steps import check_layout, steps_of
from outgrow.errors import InputError
from tests.compare.layout.pairs import qkv

SHAPES = st.lists(st.sampled_from((1, 2, 3, 4, 6, 8)), max_size=4).map(tuple)


@pytest.mark.parametrize(
    ("expected", "actual", "first"),
    [
        ((1, 8, 76, 64), [(76, 8, 64)], ("heads first", "permute(1, 0, 2), unsqueeze(0)")),
        ((8, 6), [(8, 6)], ("as it is", "identity")),
        ((8, 6), [(6, 8)], ("transpose", "transpose(0, 1)")),
        ((24,), [(2, 3, 4)], ("flatten", "reshape(24)")),
        ((2, 3, 4), [(24,)], ("reshape", "reshape(2, 3, 4)")),
        ((), [(1,)], ("dims of size 1", "squeeze(0)")),
        ((0, 3), [(3, 0)], ("reshape", "reshape(0, 3)")),
        ((4, 12, 16), [(4, 6, 16)] * 2, ("side by side", "concatenate(1)")),
        ((4, 12), [(4, 12)] * 3, ("all ranks alike", "replicated")),
        ((4, 12), [(16, 12)],
         ("expected: repeat each entry of dim 0 4 times", "identity; expected: repeat(0, 4, 1)")),
    ],
)  # fmt: skip
def test_the_simplest_comes_first(expected, actual, first):
    found = common_layouts(expected, actual)
    assert (found[0].name, found[0].hint) == first
    assert len({one.hint for one in found}) == len(found)


def names(expected, actual, **more):
    return {one.name: one.hint for one in common_layouts(expected, actual, **more)}


@pytest.mark.parametrize(
    ("expected", "actual", "name"),
    [
        ((6, 4), (4, 6), "transpose"),
        ((6, 5, 4), (5, 6, 4), "heads first"),
        ((4, 6, 5), (4, 5, 6), "last two dims exchanged"),
        ((2, 4, 6, 5), (2, 6, 4, 5), "heads first in each batch"),
        ((5, 4, 6), (4, 6, 5), "last dim first"),
        ((4, 6, 5), (5, 4, 6), "first dim last"),
        ((6, 5, 4), (4, 5, 6), "permute"),
        ((1, 6, 1, 4), (4, 1, 6), "transpose"),
        ((1, 8, 7, 6), (7, 48), "heads first, dims cut or merged"),
        ((7, 48), (8, 7, 6), "heads first, dims cut or merged"),
        ((5, 48), (6, 5, 8), "heads first, dims cut or merged"),
        ((6, 4, 10), (2, 3, 5, 8), "permute, dims cut or merged"),
        ((2, 3, 1), (2, 3), "dims of size 1"),
        ((6,), (2, 3), "flatten"),
        ((6, 1), (2, 3), "flatten"),
        ((2, 6), (2, 3, 2), "reshape"),
    ],
    ids=str,
)
def test_the_usual_moves_have_names(expected, actual, name):
    found = names(expected, [actual])
    assert name in found
    assert len(found) == len(common_layouts(expected, [actual]))


@pytest.mark.parametrize(
    ("expected", "ranks", "found"),
    [
        ((8, 6), [(4, 6)] * 2,
         {"side by side": "concatenate(0)", "side by side, in sections": "sections(0, 2, 2)",
          "side by side, reshape": "concatenate(1), reshape(8, 6)"}),
        ((4, 12), [(4, 12)] * 2, {"all ranks alike": "replicated", "sum of the ranks": "sum"}),
        ((3, 2), [(2, 3)] * 2,
         {"all ranks alike, transpose": "replicated, transpose(0, 1)",
          "sum of the ranks, transpose": "sum, transpose(0, 1)"}),
        ((2, 4, 5), [(4, 5)] * 2,
         {"ranks as a dim": "stack",
          "ranks as a dim, heads first, dims cut or merged":
              "stack, reshape(2, 2, 10), permute(1, 0, 2), reshape(2, 4, 5)",
          "side by side, heads first, dims cut or merged":
              "concatenate(0), reshape(4, 2, 5), permute(1, 0, 2)",
          "side by side, reshape": "concatenate(1), reshape(2, 4, 5)"}),
        ((0, 4), [(0, 2)] * 2,
         {"side by side, reshape": "concatenate(0), reshape(0, 4)", "side by side": "concatenate(1)",
          "all ranks alike, reshape": "replicated, reshape(0, 4)",
          "sum of the ranks, reshape": "sum, reshape(0, 4)"}),
        ((0, 4), [(0, 1), (0, 3)],
         {"side by side": "concatenate(1)"}),
        ((12,), [(3,)] * 2,
         {"side by side, repeat each entry of dim 0 2 times": "concatenate(0), repeat(0, 2, 1)",
          "side by side, repeat dim 0 2 times": "concatenate(0), repeat(0, 2)",
          "side by side, repeat each 2 entries of dim 0 2 times": "concatenate(0), repeat(0, 2, 2)",
          "side by side, repeat each 3 entries of dim 0 2 times": "concatenate(0), repeat(0, 2, 3)"}),
        ((2, 3), [(0, 3)] * 2, {}),
    ],
    ids=str,
)  # fmt: skip
def test_what_several_ranks_may_make(expected, ranks, found):
    assert names(expected, ranks) == found


def test_of_very_many_layouts_eight_are_named():
    found = common_layouts((4, 5), [(6, 5)] * 2, fused=qkv(1))
    assert len(found) == 8
    assert [one.hint for one in found[:2]] == [
        "concatenate(0), part(0, 4, 8)",
        "concatenate(0), part(0, 2, 4, 2)",
    ]
    assert [one.name for one in found[:2]] == [
        "side by side, key at 4:8 of dim 0", "side by side, key at 2:4 of each 6 of 2 along dim 0",
    ]  # fmt: skip


def test_a_part_may_be_on_either_side():
    assert names((4, 5), [(12, 5)], fused=qkv(1)) == {
        "key at 4:8 of dim 0": "part(0, 4, 8)",
        "key at 2:4 of each 6 of 2 along dim 0": "part(0, 2, 4, 2)",
        "key at 1:2 of each 3 of 4 along dim 0": "part(0, 1, 2, 4)",
    }
    assert names((12, 5), [(4, 5)], fused=qkv(1, "expected"))["expected: key at 4:8 of dim 0"] == (
        "identity; expected: part(0, 4, 8)"
    )
    assert names((4, 5), [(0, 5)], fused=qkv(1)) == names((0, 5), [(4, 5)], fused=qkv(1)) == {}


def test_a_square_may_be_turned_and_everything_be_reshaped():
    assert [one.hint for one in common_layouts((8, 8), [(8, 8)])] == ["identity", "transpose(0, 1)"]
    assert "reshape(8, 6)" in [one.hint for one in common_layouts((8, 6), [(6, 8)])]
    assert common_layouts((5,), [(7,)]) == ()
    assert common_layouts((5,), [(0,)]) == ()


def test_parts_of_fused_tensors_have_their_usual_places():
    found = common_layouts((16, 12), [(48, 12)], fused=qkv(1))
    assert "part(0, 16, 32)" in [one.hint for one in found]


@given(SHAPES, st.data())
def test_every_common_layout_fits(shape, data):
    ranks = data.draw(st.sampled_from((1, 1, 2)))
    target = tuple(data.draw(st.permutations(shape)))
    if data.draw(st.booleans()):
        target = (math.prod(target),)
    shapes = [shape] * ranks
    for one in common_layouts(target, shapes):
        assert check_layout(target, shapes, one.hint).is_fit


@given(st.data())
def test_dims_set_against_each_other_do_what_torch_does(data):
    pieces = data.draw(st.lists(st.lists(st.sampled_from((1, 2, 3)), max_size=3), max_size=4))
    shape = tuple(math.prod(cut) for cut in pieces)
    atoms = [size for cut in pieces for size in cut]
    places = data.draw(st.permutations(range(len(atoms))))
    ends = sorted(data.draw(st.lists(st.integers(0, len(atoms)), max_size=3)))
    order = [places[start:end] for start, end in zip([0, *ends], [*ends, len(atoms)], strict=True)]
    target = tuple(math.prod(atoms[place] for place in dim) for dim in order)
    hint = hint_by_hand(shape, pieces, order, target)
    numbers = torch.arange(math.prod(shape)).reshape(shape)
    told = parse_hint(hint, shapes=[shape], target=target)
    assert torch.equal(told.layout.apply([numbers]), numbers.reshape(atoms).permute(places).reshape(target))

    found = dims_of(told.layout) if not told.layout.is_identity else None
    if found is not None:
        assert [math.prod(cut) for cut in found[0]] == list(shape)
        again = parse_hint(hint_by_hand(shape, *found, target), shapes=[shape], target=target)
        assert again.layout == told.layout


@given(SHAPES, st.data())
def test_dims_of_a_layout_are_the_layout(shape, data):
    target = data.draw(st.sampled_from([tuple(reversed(shape)), (math.prod(shape),), (*shape, 1)]))
    for one in common_layouts(target, [shape]):
        layout = parse_hint(one.hint, shapes=[shape], target=target).layout
        if layout.is_identity or not isinstance(layout, Rearrange):
            continue
        found = dims_of(layout)
        # Only a reshape cuts across; what was found from factors never does.
        assert found is not None or one.name == "reshape"
        if found is not None:
            again = parse_hint(hint_by_hand(shape, *found, target), shapes=[shape], target=target)
            assert again.layout == layout


def test_the_flagship_by_hand():
    assert hint_by_hand((76, 8, 64), [[76], [8], [64]], [[], [1], [0], [2]], (1, 8, 76, 64)) == (
        "permute(1, 0, 2), unsqueeze(0)"
    )
    assert hint_by_hand((76, 512), [[76], [8, 64]], [[], [1], [0], [2]], (1, 8, 76, 64)) == (
        "reshape(76, 8, 64), permute(1, 0, 2), unsqueeze(0)"
    )
    told = parse_hint(
        "reshape(76, 8, 64), permute(1, 0, 2), unsqueeze(0)", shapes=[(76, 512)], target=(1, 8, 76, 64)
    )
    assert dims_of(told.layout) == ([[76], [8, 64]], [[], [1], [0], [2]])
    across = Rearrange(source=(2, 3), atoms=(6,), order=(0,), shape=(3, 2))
    assert dims_of(across) is None
    single = Rearrange(source=(1, 6), atoms=(6,), order=(0,), shape=(2, 3))
    assert dims_of(single) == ([[1], [2, 3]], [[1], [2]])


ONCE = "each piece of the actual tensor belongs to one dim of the expected one"


@pytest.mark.parametrize(
    ("pieces", "order", "message", "hint"),
    [
        ([[2], [4]], [[0], [1]], "the pieces [[2], [4]] do not make up the dims [2, 3]",
         "the factors of a dim multiply to its size"),
        ([[2], [3], [1]], [[0], [1]], "the pieces [[2], [3], [1]] do not make up the dims [2, 3]",
         "the factors of a dim multiply to its size"),
        ([[2], [3]], [[0], []], ONCE, "pieces that are used nowhere: [3]"),
        ([[2], [3]], [[0], [0]], ONCE, "pieces that are used nowhere: [3]"),
        ([[2], [3]], [[0, 0], [1]], ONCE, "use each piece once"),
        ([[2], [3]], [[0], [1, 2]], ONCE, "use each piece once"),
        ([[2], [3]], [[0, -1], [1]], ONCE, "use each piece once"),
        ([[2], [3]], [[1], [0]], "this makes [3, 2], but [2, 3] is expected",
         "move or cut dims until they fit"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(pieces, order, message, hint):
    with pytest.raises(InputError) as caught:
        hint_by_hand((2, 3), pieces, order, (2, 3))
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_what_is_no_rearrangement_has_no_dims():
    told = parse_hint("part(0, 0, 2)", shapes=[(4, 3)], target=(2, 3))
    assert dims_of(told.layout) is None
    assert dims_of(Rearrange(source=(0, 3), atoms=(0, 3), order=(1, 0), shape=(3, 0))) is None


def pictured(expected, actual, hint):
    return [(step.side, step.name, step.shape, step.dims) for step in steps_of(expected, actual, hint)]


def test_a_picture_has_every_step_and_the_dims_that_it_is_made_of():
    hint = "reshape(76, 8, 64), permute(1, 0, 2), unsqueeze(0)"
    assert pictured((1, 8, 76, 64), [(76, 512)], hint) == [
        ("actual", "", (76, 512), ((), ())),
        ("actual", "reshape(76, 8, 64)", (76, 8, 64), ((0,), (1,), (1,))),
        ("actual", "permute(1, 0, 2)", (8, 76, 64), ((1,), (0,), (2,))),
        ("actual", "unsqueeze(0)", (1, 8, 76, 64), ((), (0,), (1,), (2,))),
        ("expected", "", (1, 8, 76, 64), ((), (), (), ())),
    ]
    assert pictured((8, 2), [(2, 2)] * 2, "stack, reshape; expected: part(0, 0, 4)") == [
        ("actual", "2 ranks", (2, 2), ((), ())),
        ("actual", "stack", (2, 2, 2), ((), (0,), (1,))),
        ("actual", "reshape(4, 2)", (4, 2), ((0, 1), (2,))),
        ("expected", "", (8, 2), ((), ())),
        ("expected", "part(0, 0, 4)", (4, 2), ((0,), (1,))),
    ]
    with pytest.raises(InputError, match="is expected") as caught:
        steps_of((3, 2), [(2, 3)], "identity")
    assert caught.value.hint == "take the hint of a layout for these shapes"


def test_a_check_says_what_a_hint_makes():
    found = check_layout((3, 2), [(2, 3)], "permute(0, 1)")
    assert (found.is_fit, found.shape, found.message) == (
        False,
        (2, 3),
        "it makes [2, 3], but [3, 2] is expected",
    )
    found = check_layout((3, 2), [(2, 3)], "transpose(0, 1)")
    assert (found.is_fit, found.shape) == (True, (3, 2))
    found = check_layout((3, 2), [(2, 3)], "turn")
    assert (found.is_fit, found.shape, found.steps) == (False, None, ())
    assert "there is no 'turn'" in found.message
