"""Layouts that the user gave."""

import pytest
import torch

from outgrow.compare.layout.hint import hear_hint, parse_hint
from outgrow.errors import InputError


@pytest.mark.parametrize(
    ("text", "shape", "make"),
    [
        ("identity", (2, 3), lambda x: x),
        ("permute(1, 0, 2)", (2, 3, 4), lambda x: x.permute(1, 0, 2)),
        ("transpose(0, -1)", (2, 3, 4), lambda x: x.transpose(0, -1)),
        ("reshape", (2, 12), lambda x: x.reshape(2, 3, 4)),
        ("reshape(-1, 4)", (2, 12), lambda x: x.reshape(-1, 4)),
        ("unsqueeze(0), permute(0,2,1)", (2, 3), lambda x: x[None].permute(0, 2, 1)),
        (" squeeze(1) ; transpose(0,1) ", (2, 1, 3), lambda x: x.squeeze(1).T),
        ("reshape(3, 2, 2), permute(1, 0, 2), reshape(2, 6)", (12,),
         lambda x: x.reshape(3, 2, 2).permute(1, 0, 2).reshape(2, 6)),
    ],
)  # fmt: skip
def test_calls_do_what_torch_does(text, shape, make):
    tensor = torch.arange(torch.Size(shape).numel()).reshape(shape)
    expected = make(tensor)
    layout = parse_hint(text, shapes=[shape], target=tuple(expected.shape)).layout
    assert torch.equal(layout.apply([tensor]), expected)


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("concatenate(1), transpose(0, 1)", lambda one, other: torch.cat([one, other], 1).T),
        ("stack", lambda one, other: torch.stack([one, other])),
        ("replicated", lambda one, other: one),
        ("sum, unsqueeze(0)", lambda one, other: (one + other)[None]),
    ],
)
def test_ranks_are_put_together_first(text, make):
    tensors = [torch.arange(6).reshape(2, 3), 10 + torch.arange(6).reshape(2, 3)]
    expected = make(*tensors)
    layout = parse_hint(text, shapes=[(2, 3), (2, 3)], target=tuple(expected.shape)).layout
    assert torch.equal(layout.apply(tensors), expected)


@pytest.mark.parametrize(
    ("text", "ranks", "why"),
    [
        ("permute(1, 0)", 2, "there are 2 ranks"),
        ("permute(1, 0, 2)", 1, "permute takes 2 of 2 dims"),
        ("permute(1, 1)", 1, "names a dim twice"),
        ("transpose(0, 2)", 1, "transpose takes 2 of 2 dims"),
        ("reshape(4, 2)", 1, "cannot be reshaped"),
        ("reshape(-1, -1)", 1, "cannot be reshaped"),
        ("squeeze(0)", 1, "not of size 1"),
        ("rotate(1)", 1, "there is no 'rotate'"),
        ("permute(a, b)", 1, "not whole numbers"),
        ("permute(1, 0", 1, "is not a call"),
        ("transpose(0, 1), stack", 1, "can only come first"),
        ("sum(3)", 2, "takes no numbers"),
        ("transpose(0, 1)", 1, r"it makes \[3, 2\], but \[2, 3\] is expected"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(text, ranks, why):
    with pytest.raises(InputError, match=why) as caught:
        parse_hint(text, shapes=[(2, 3)] * ranks, target=(2, 3))
    assert "permute(1, 0, 2)" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "shapes", "why"),
    [
        ("identity; expected: squeeze(0); expected: squeeze(0)", [(2, 3)], "`expected:` is there twice"),
        ("identity; expected: stack", [(2, 3)],
         "the expected side is one tensor, to which stack cannot be done"),
        ("identity; expected: reshape", [(2, 3)],
         "a reshape of the expected side has to say to which sizes"),
        ("identity; expected: squeeze(0)", [(2, 3)], "dim 0 of [2, 3] is not of size 1"),
        ("identity; expected: turn(0)", [(2, 3)], "there is no 'turn'"),
        ("identity; expected: turn", [(2, 3)], "there is no 'turn'"),
        ("identity; expected: 1", [(2, 3)], "'1' is not a call"),
        ("identity; expected: transpose(0, 1)", [(2, 3)], "it makes [2, 3], but [3, 2] is expected"),
        ("permute(1)", [(2, 3)], "permute takes 2 of 2 dims, not (1)"),
        ("squeeze(2)", [(2, 3)], "squeeze takes 1 of 2 dims, not (2)"),
        ("squeeze", [(2, 3)], "squeeze takes 1 of 2 dims, not ()"),
        ("permute(1, 0)", [(2, 3)] * 3, "there are 3 ranks, and it does not say how they make one tensor"),
        ("transpose(0, 1), sum", [(2, 3)], "sum can only come first"),
        ("stack", [(2, 3), (2, 4)], "the ranks have shapes [2, 3], [2, 4]"),
        ("concatenate", [(2, 3)] * 2, "concatenate takes 1 of 2 dims, not ()"),
        ("concatenate(2)", [(2, 3)] * 2, "concatenate takes 1 of 2 dims, not (2)"),
        ("sections", [(2, 3)] * 2, "sections takes a dim and the sizes of its sections"),
        ("sections(1)", [(2, 3)] * 2, "sections takes a dim and the sizes of its sections"),
        ("sections(2, 1, 2)", [(2, 3)] * 2, "sections takes 1 of 2 dims, not (2)"),
        ("replicated(2)", [(2, 3)] * 2, "replicated takes one of 2 ranks"),
        ("replicated(-1)", [(2, 3)] * 2, "replicated takes one of 2 ranks"),
        ("replicated(0, 1)", [(2, 3)] * 2, "replicated takes one of 2 ranks"),
        ("stack(0)", [(2, 3)] * 2, "stack takes no numbers"),
        ("squeeze(1)", [(2, 3)], "dim 1 of [2, 3] is not of size 1"),
        ("unsqueeze(3)", [(2, 3)], "unsqueeze takes 1 of 3 dims, not (3)"),
        ("reshape(-2, -3)", [(2, 3)], "[2, 3] cannot be reshaped to [-2, -3]"),
        ("reshape(4, -1)", [(2, 3)], "[2, 3] cannot be reshaped to [4, -1]"),
        ("part(0, 1)", [(2, 3)], "part takes a dim, from where, up to where, and in how many runs"),
        ("part(0, 0, 1, 1, 1)", [(2, 3)], "part takes a dim, from where, up to where, and in how many runs"),
        ("part(2, 0, 1)", [(2, 3)], "part takes 1 of 2 dims, not (2)"),
        ("part(1, 0, 4)", [(2, 3)], "dim 1 of [2, 3] has no 1 runs with 0:4"),
        ("part(1, 2, 2)", [(2, 3)], "dim 1 of [2, 3] has no 1 runs with 2:2"),
        ("part(1, -1, 2)", [(2, 3)], "dim 1 of [2, 3] has no 1 runs with -1:2"),
        ("part(1, 0, 1, 2)", [(2, 3)], "dim 1 of [2, 3] has no 2 runs with 0:1"),
        ("part(1, 0, 1, 0)", [(2, 3)], "dim 1 of [2, 3] has no 0 runs with 0:1"),
        ("repeat(0)", [(2, 3)], "repeat takes a dim, how many times, and how many entries together"),
        ("repeat(0, 1, 1, 1)", [(2, 3)], "repeat takes a dim, how many times, and how many entries together"),
        ("repeat(2, 1)", [(2, 3)], "repeat takes 1 of 2 dims, not (2)"),
        ("repeat(0, 0)", [(2, 3)], "dim 0 of [2, 3] has no blocks of 2 to repeat"),
        ("repeat(1, 1, 2)", [(2, 3)], "dim 1 of [2, 3] has no blocks of 2 to repeat"),
        ("repeat(1, 1, 0)", [(2, 3)], "dim 1 of [2, 3] has no blocks of 0 to repeat"),
        ("repeat(0, 2)", [(2, 3)], "repeated 2 times, [2, 3] is larger than both tensors"),
        ("permute(1, 0) permute(1, 0)", [(2, 3)], "'permute(1, 0) permute(1, 0)' is not a call"),
        ("transpose(0, 1.5)", [(2, 3)], "'0, 1.5' are not whole numbers"),
        ("Permute(1, 0)", [(2, 3)], "'Permute(1, 0)' is not a call"),
        ("transpose(0, 0)", [(2, 3)], "transpose names a dim twice"),
        ("transpose(0, -2)", [(2, 3)], "transpose names a dim twice"),
        ("transpose(0, -3)", [(2, 3)], "transpose takes 2 of 2 dims, not (0, -3)"),
    ],
)  # fmt: skip
def test_every_refusal_says_what_is_wrong(text, shapes, why):
    with pytest.raises(InputError) as caught:
        parse_hint(text, shapes=shapes, target=(2, 3))
    assert caught.value.message == f"the layout {text!r} does not fit: {why}"


@pytest.mark.parametrize(
    ("text", "ranks", "target", "calls"),
    [
        ("identity", 1, (2, 6), []),
        ("", 1, (2, 6), []),
        ("reshape( 3,-1 )", 1, (3, 4), ["reshape(3, 4)"]),
        ("reshape", 1, (4, 3), ["reshape(4, 3)"]),
        ("unsqueeze(-1), squeeze(-1), unsqueeze(2)", 1, (2, 6, 1),
         ["unsqueeze(-1)", "squeeze(-1)", "unsqueeze(2)"]),
        ("part(-1, 1, 3, 2)", 1, (2, 4), ["part(-1, 1, 3, 2)"]),
        ("repeat(1, 1, 6); reshape(3, 4)", 1, (3, 4), ["repeat(1, 1, 6)", "reshape(3, 4)"]),
        ("concatenate(-1)", 2, (2, 12), ["concatenate(-1)"]),
        ("sections(-1, 4, 2)", 2, (2, 12), ["sections(-1, 4, 2)"]),
        ("replicated()", 2, (2, 6), ["replicated()"]),
        ("replicated(1)", 2, (2, 6), ["replicated(1)"]),
    ],
)  # fmt: skip
def test_calls_are_heard_one_by_one(text, ranks, target, calls):
    heard = hear_hint(text, shapes=[(2, 6)] * ranks, target=target)
    assert [step.call for step in heard.actual] == calls
    assert (heard.shape, heard.target, heard.expected) == (target, target, ())
    assert heard.has_rank == (text == "replicated(1)")


def test_dims_are_counted_from_the_end_as_torch_does():
    x = torch.arange(24).reshape(2, 12)
    for text, made in (
        ("part(-1, 1, 3, 3)", x.reshape(2, 3, 4)[:, :, 1:3].reshape(2, 6)),
        ("part(1, 5, 12)", x[:, 5:]),
        ("part(0, 0, 1)", x[:1]),
    ):
        told = parse_hint(text, shapes=[(2, 12)], target=tuple(made.shape))
        assert torch.equal(told.layout.apply([x]), made)
    told = parse_hint("repeat(-2, 3)", shapes=[(2, 12)], target=(6, 12))
    assert torch.equal(told.layout.apply([x]), x.repeat(3, 1))
    told = parse_hint("repeat(1, 2, 4)", shapes=[(2, 12)], target=(2, 24))
    assert torch.equal(told.layout.apply([x]), x.reshape(2, 3, 4).repeat(1, 1, 2).reshape(2, 24))


def test_rank_0_can_be_named_and_a_scalar_be_made():
    told = parse_hint("replicated(0)", shapes=[(2, 3)] * 2, target=(2, 3))
    assert (told.layout.uses, told.has_rank) == (0, True)
    assert not parse_hint("replicated", shapes=[(2, 3)] * 2, target=(2, 3)).has_rank
    assert parse_hint("reshape()", shapes=[(1, 1)], target=()).layout.apply([torch.ones(1, 1)]).shape == ()
    told = parse_hint(
        "identity; expected: part(0, 2, 4), reshape(6)", shapes=[(6,)], target=(4, 3), part="up"
    )
    assert told.expected_layout.describe() == "up at 2:4 of dim 0; [2, 3] -> [6]: reshape(6)"


def test_a_side_may_grow_to_all_that_the_ranks_hold_together():
    parse_hint("replicated, repeat(0, 2)", shapes=[(2, 3)] * 2, target=(4, 3))
    told = parse_hint("concatenate(0); expected: repeat(0, 2)", shapes=[(2, 3)] * 2, target=(2, 3))
    assert told.expected_layout.apply([torch.ones(2, 3)]).shape == (4, 3)
    with pytest.raises(InputError, match="repeated 3 times"):
        parse_hint("replicated, repeat(0, 3)", shapes=[(2, 3)] * 2, target=(4, 3))


def test_nothing_grows_beyond_the_larger_side():
    """Both sides repeated alike would fit each other, and fill the memory."""
    with pytest.raises(InputError, match="larger than both tensors"):
        parse_hint("repeat(0, 1000000000); expected: repeat(0, 1000000000)", shapes=[(2, 3)], target=(2, 3))
    told = parse_hint("identity; expected: repeat(0, 4, 1)", shapes=[(8, 3)], target=(2, 3))
    assert told.expected_layout.apply([torch.ones(2, 3)]).shape == (8, 3)
