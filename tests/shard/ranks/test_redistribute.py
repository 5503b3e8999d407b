"""Any placement to any other keeps the whole, on all ranks of one process."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.placement import Owned, Partial, Placement, Replicate, Shard
from outgrow.shard.instructions import TensorMeta
from outgrow.shard.ranks.pieces import piece_bounds, piece_shape
from outgrow.shard.ranks.redistribute import redistribute
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric
from outgrow.shard.rules.verify import split_pieces

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.int8, torch.bool, torch.complex64)


def _placements(dims: int, dtype: torch.dtype, world_size: int) -> list[Placement]:
    reductions = ["sum"]
    if not dtype.is_complex:
        reductions += ["max", "min"]
    if dtype not in (torch.bool, torch.int8):
        reductions.append("avg")
    return [
        Replicate(),
        *(Shard(dim) for dim in range(dims)),
        *(Partial(one) for one in reductions),
        Owned(0),
        Owned(world_size - 1),
    ]


@st.composite
def _cases(draw: st.DrawFn) -> tuple[torch.Tensor, int, Placement, Placement, int]:
    shape = draw(st.lists(st.integers(0, 7), max_size=3))
    dtype = draw(st.sampled_from(DTYPES))
    world_size = draw(st.sampled_from([1, 2, 3, 5, 8]))
    seed = draw(st.integers(0, 10**6))
    whole = (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 4).round().to(dtype)
    placement = st.sampled_from(_placements(len(shape), dtype, world_size))
    return whole, world_size, draw(placement), draw(placement), seed


@given(_cases())
def test_any_placement_to_any_other_keeps_the_whole(case) -> None:
    whole, world_size, old, new, seed = case
    fabric = SimulatedFabric(world_size)
    meta = TensorMeta(tuple(whole.shape), tuple(whole.stride()), whole.dtype)
    pieces = split_pieces(whole, old, world_size, torch.Generator().manual_seed(seed))
    before = [None if piece is None else piece.clone() for piece in pieces]
    held = redistribute(pieces, meta, old, new, fabric)
    for rank, piece in enumerate(held):
        if isinstance(new, Owned) and rank != new.rank:
            assert piece is None
            continue
        assert piece is not None
        assert piece.dtype == whole.dtype
        assert tuple(piece.shape) == piece_shape(meta.shape, new, rank, world_size)
    for now, then in zip(pieces, before, strict=True):
        assert (now is None) == (then is None)
        assert now is None or torch.equal(now, then)
    for piece in redistribute(held, meta, new, Replicate(), fabric):
        torch.testing.assert_close(piece, whole, rtol=0, atol=0.3 if whole.dtype == torch.bfloat16 else 1e-5)


@given(st.integers(0, 40), st.integers(1, 9))
def test_pieces_are_those_of_chunk(size: int, world_size: int) -> None:
    bounds = [piece_bounds(size, rank, world_size) for rank in range(world_size)]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == size
    assert all(left[1] == right[0] for left, right in itertools.pairwise(bounds))
    if size:
        chunks = [len(chunk) for chunk in torch.arange(size).chunk(world_size)]
        assert [stop - start for start, stop in bounds if stop > start] == chunks


class _Silent(SimulatedFabric):
    """Counts what ranks say to each other."""

    def __init__(self, world_size: int) -> None:
        super().__init__(world_size)
        self.said: list[str] = []

    def __getattribute__(self, name: str):
        if name in ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast"):
            self.said.append(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (Replicate(), Shard(0), []),
        (Replicate(), Partial(), []),
        (Replicate(), Owned(1), []),
        (Partial("avg"), Partial("sum"), []),
        (Shard(0), Replicate(), ["all_gather"]),
        (Shard(0), Shard(1), ["all_to_all"]),
        (Partial(), Shard(1), ["reduce_scatter"]),
        (Partial(), Replicate(), ["all_reduce"]),
        (Owned(1), Shard(0), ["broadcast"]),
    ],
    ids=str,
)
def test_no_more_is_said_than_needed(old: Placement, new: Placement, said: list[str]) -> None:
    fabric = _Silent(2)
    whole = torch.randn(4, 6)
    pieces = split_pieces(whole, old, 2, torch.Generator())
    redistribute(pieces, TensorMeta((4, 6), (6, 1), torch.float32), old, new, fabric)
    assert fabric.said == said
