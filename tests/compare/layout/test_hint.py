"""Layouts that the user gave."""

import pytest
import torch

from outgrow.compare.layout.hint import parse_hint
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


def test_nothing_grows_beyond_the_larger_side():
    """Both sides repeated alike would fit each other, and fill the memory."""
    with pytest.raises(InputError, match="larger than both tensors"):
        parse_hint("repeat(0, 1000000000); expected: repeat(0, 1000000000)", shapes=[(2, 3)], target=(2, 3))
    told = parse_hint("identity; expected: repeat(0, 4, 1)", shapes=[(8, 3)], target=(2, 3))
    assert told.expected_layout.apply([torch.ones(2, 3)]).shape == (8, 3)
