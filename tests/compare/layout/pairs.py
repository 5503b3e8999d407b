"""Pairs in memory, for the tests of layouts."""

import torch

from outgrow.capture.recording import Record
from outgrow.compare.layout import find_stage_layouts
from outgrow.compare.pair import FusedPart, Pair


def record(tensor, *, name="x", read=None, placement=None, kind="outputs"):
    return Record(
        name=name,
        sequence=0,
        dtype=tensor.dtype,
        shape=tuple(tensor.shape),
        read=read or (lambda: tensor),
        placement=placement,
        kind=kind,
    )


def pair(expected, *actual, stage="query", layer=0, fused=None, placement=None, layout_hint=None):
    return Pair(
        expected=record(expected),
        actual=tuple(record(tensor, placement=placement) for tensor in actual),
        stage=stage,
        layer=layer,
        how="role",
        fused=fused,
        layout_hint=layout_hint,
    )


def qkv(index, side="actual"):
    return FusedPart(side=side, parts=("query", "key", "value"), index=index, group="qkv")


def gate_up(index, side="actual"):
    return FusedPart(side=side, parts=("gate", "up"), index=index, group="mlp")


def laid_out(found, one_pair):
    """Both sides as they are to be measured."""
    actual = found.layout.apply([part.read() for part in one_pair.actual])
    return actual, found.expected_layout.apply([one_pair.expected.read()])


def find_equal(one_pair):
    """The layout of a pair, which has to make its sides equal."""
    (found,) = find_stage_layouts([one_pair])
    assert found.layout is not None, found.reason
    actual, expected = laid_out(found, one_pair)
    assert actual.shape == expected.shape
    assert torch.equal(actual, expected), found.layout.describe()
    return found
