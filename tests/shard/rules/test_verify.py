"""What rows are checked with: pieces that make up the whole again, and promises that are held to."""

import pytest
import torch

from outgrow.placement import Owned, Partial, Replicate, Shard
from outgrow.shard.instructions import TensorMeta
from outgrow.shard.ranks.redistribute import redistribute
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric
from outgrow.shard.rules import rows
from outgrow.shard.rules.verify import check_rows, sample_of, split_pieces

DTYPES = {
    "real": torch.randn(5, 4, generator=torch.Generator().manual_seed(1)).double(),
    "whole": torch.arange(-10, 10).reshape(5, 4),
    "truth": torch.arange(20).reshape(5, 4) % 3 == 0,
}
KINDS = {
    "real": ("sum", "avg", "max", "min"),
    "whole": ("sum", "max", "min"),
    "truth": ("sum", "max", "min"),
}


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize(("name", "reduction"), [(name, one) for name in KINDS for one in KINDS[name]])
def test_pieces_of_a_reduction_reduce_to_the_whole_and_are_not_it(name, reduction, world_size) -> None:
    whole, placement = DTYPES[name], Partial(reduction)
    pieces = split_pieces(whole, placement, world_size, torch.Generator().manual_seed(2))
    assert not any(torch.equal(piece, whole) for piece in pieces)
    meta = TensorMeta(tuple(whole.shape), tuple(whole.stride()), whole.dtype)
    fabric = SimulatedFabric(world_size)
    for joined in redistribute(list(pieces), meta, placement, Replicate(), fabric):
        torch.testing.assert_close(joined, whole)


def test_what_one_rank_owns_no_other_has() -> None:
    whole = DTYPES["real"]
    first, second, third = split_pieces(whole, Owned(1), 3, torch.Generator())
    assert first is None
    assert third is None
    assert torch.equal(second, whole)
    assert second.data_ptr() != whole.data_ptr()


def test_parts_that_make_another_placement_than_is_promised_are_told() -> None:
    sample = sample_of("aten._softmax.default", DTYPES["real"][:4], 0, False)
    (row,) = (row for row in rows(sample.template, 2) if row.parts)
    assert row.outputs == (Shard(0),)
    assert list(check_rows(sample, 2, known=[row])) == []
    (wrong,) = check_rows(sample, 2, known=[row._replace(outputs=(Replicate(),))])
    assert f"output 0 is made as {Shard(0)}, promised as {Replicate()}" in wrong
