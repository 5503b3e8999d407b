"""Rows are right for every shape: drawn at random, with dims of 0 and 1, cut evenly or not."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outgrow.shard.rules.verify import check_rows, sample_of
from outgrow.shard.rules.view import own_part, same_dims

SIZES = st.sampled_from([0, 1, 2, 3, 4, 6, 7, 8, 12])
SHAPES = st.lists(SIZES, min_size=1, max_size=4)
RANKS = st.sampled_from([2, 3, 4, 8])


def _real(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape))).double()


def _right(sample, world_size: int) -> None:
    assert list(check_rows(sample, world_size)) == []


@st.composite
def _reshapes(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Two shapes of as many elements, made of the same factors."""
    factors = draw(st.lists(st.sampled_from([1, 2, 2, 3, 4]), min_size=1, max_size=5))

    def joined(order: list[int]) -> list[int]:
        shape: list[int] = []
        for factor in order:
            if shape and draw(st.booleans()):
                shape[-1] *= factor
            else:
                shape.append(factor)
        return shape

    other = draw(st.permutations(factors)) if draw(st.booleans()) else factors
    return joined(factors), joined(other)


@given(_reshapes(), RANKS)
def test_reshapes(shapes: tuple[list[int], list[int]], world_size: int) -> None:
    old, new = shapes
    _right(sample_of("aten.view.default", _real(*old), new), world_size)
    for first, second in same_dims(tuple(old), tuple(new), world_size):
        assert math.prod(old[:first]) == math.prod(new[:second])


@st.composite
def _broadcasts(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    shape = draw(SHAPES)
    narrow = [1 if draw(st.booleans()) else size for size in shape]
    wide = [1 if draw(st.booleans()) else size for size in shape]
    return narrow[draw(st.integers(0, len(shape))) :], wide


@given(_broadcasts(), RANKS, st.sampled_from(["add", "sub", "mul"]))
def test_pointwise_ops_of_shapes_that_are_broadcast(shapes, world_size: int, name: str) -> None:
    _right(sample_of(f"aten.{name}.Tensor", _real(*shapes[0]), _real(*shapes[1])), world_size)


@settings(max_examples=30)
@given(SIZES, SIZES, SIZES, SIZES, RANKS)
def test_products(batch: int, rows: int, inner: int, columns: int, world_size: int) -> None:
    _right(sample_of("aten.bmm.default", _real(batch, rows, inner), _real(batch, inner, columns)), world_size)
    _right(
        sample_of("aten.addmm.default", _real(columns), _real(rows, inner), _real(inner, columns)), world_size
    )


@settings(max_examples=50)
@given(SHAPES, RANKS, st.booleans(), st.data())
def test_reductions(shape: list[int], world_size: int, keepdim: bool, data) -> None:
    dims = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    tensor = _real(*shape)
    for name, overload in (("sum", "dim_IntList"), ("mean", "dim")):
        _right(sample_of(f"aten.{name}.{overload}", tensor, sorted(dims), keepdim), world_size)
    if all(shape[dim] for dim in dims):
        _right(sample_of("aten.amax.default", tensor, sorted(dims), keepdim), world_size)


@st.composite
def _slices(draw: st.DrawFn) -> tuple[list[int], int, int, int, int]:
    shape = draw(SHAPES)
    dim = draw(st.integers(0, len(shape) - 1))
    start, stop = sorted(draw(st.lists(st.integers(0, shape[dim]), min_size=2, max_size=2)))
    return shape, dim, start, stop, draw(st.integers(1, 4))


@settings(max_examples=30)
@given(_slices(), RANKS)
def test_slices_their_gradients_and_writes(case, world_size: int) -> None:
    shape, dim, start, stop, step = case
    tensor = _real(*shape)
    part = torch.ops.aten.slice(tensor, dim, start, stop, step)
    _right(sample_of("aten.slice.Tensor", tensor, dim, start, stop, step), world_size)
    back = sample_of("aten.slice_backward.default", _real(*part.shape), shape, dim, start, stop, step)
    _right(back, world_size)
    chain = (("aten.slice.Tensor", (dim, start, stop, step), (), None),)
    _right(sample_of("outgrow.write_view", tensor, _real(*part.shape), chain), world_size)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 5), st.integers(0, 30), st.integers(0, 30))
def test_each_shown_entry_has_one_owner(start: int, stop: int, step: int, low: int, high: int) -> None:
    shown = range(start, max(start, stop), step)
    low, high = sorted((low, high))
    places, own = own_part(shown, low, high)
    inside = [place for place, entry in enumerate(shown) if low <= entry < high]
    assert list(range(len(shown)))[places] == inside
    assert list(range(low, high))[own] == [shown[place] for place in inside]


@settings(max_examples=20)
@given(SIZES, SIZES, SIZES, RANKS)
def test_norms_and_losses(batch: int, length: int, width: int, world_size: int) -> None:
    if width:
        norm = _real(batch, length, width), [width], _real(width), _real(width), 1e-5
        _right(sample_of("aten.native_layer_norm.default", *norm), world_size)
        _right(sample_of("aten._log_softmax.default", _real(batch, width), 1, False), world_size)
        scores, target = _real(batch, width), torch.arange(batch) % width
        _right(sample_of("aten.nll_loss_forward.default", scores, target, None, 2, 0), world_size)
    if batch and width:
        for reduction in (1, 2):
            given_ = _real(), _real(batch, width), _real(batch, width) + 1, reduction
            _right(sample_of("aten.mse_loss_backward.default", *given_), world_size)
            _right(sample_of("aten.mse_loss.default", *given_[1:]), world_size)
