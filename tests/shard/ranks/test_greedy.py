"""What runs without a plan: nothing is moved that need not be."""

import torch

from outgrow.placement import Owned, Partial, Placement, Replicate, Shard
from outgrow.shard.ranks.greedy import choose_row
from outgrow.shard.rules import Row, rows
from outgrow.shard.rules.verify import Sample, sample_of

R, P = Replicate(), Partial()


def _chosen(sample: Sample, *placements: Placement, world_size: int = 2) -> Row:
    template = sample.template
    return choose_row(rows(template, world_size), placements, template.inputs, world_size, template=template)


def _product(m: int, k: int, n: int) -> Sample:
    return sample_of("aten.mm.default", torch.zeros(m, k), torch.zeros(k, n))


def test_small_replicated_tensors_stay_so() -> None:
    assert _chosen(_product(8, 8, 8), R, R).outputs == (R,)


def test_pieces_stay_pieces() -> None:
    assert _chosen(_product(8, 8, 8), Shard(0), R).outputs == (Shard(0),)
    assert _chosen(_product(8, 8, 8), R, Shard(1)).outputs == (Shard(1),)
    both = sample_of("aten.add.Tensor", torch.zeros(8, 8), torch.zeros(8, 8))
    assert _chosen(both, Shard(1), Shard(1)).inputs == (Shard(1), Shard(1))


def test_a_cut_contraction_gives_partial_sums() -> None:
    assert _chosen(_product(8, 512, 8), Shard(1), Shard(0)).outputs == (P,)


def test_much_work_is_shared_though_nothing_was_cut() -> None:
    large = _product(512, 1024, 512)
    assert any(isinstance(one, Shard) for one in _chosen(large, R, R).inputs)


def test_partial_sums_are_added_before_what_is_not_linear() -> None:
    relu = sample_of("aten.relu.default", torch.zeros(8, 8))
    assert not isinstance(_chosen(relu, P).inputs[0], Partial)
    double = sample_of("aten.mul.Tensor", torch.zeros(8, 8), 2.0)
    assert _chosen(double, P).outputs == (P,)


def test_what_one_rank_owns_is_shared_out_once() -> None:
    assert isinstance(_chosen(_product(8, 8, 8), Owned(0), R).inputs[0], Replicate | Shard)


def test_the_choice_is_the_same_whenever_it_is_made() -> None:
    sample = _product(64, 64, 64)
    first = _chosen(sample, Shard(0), Shard(0))
    assert all(_chosen(sample, Shard(0), Shard(0))[:2] == first[:2] for _ in range(5))
