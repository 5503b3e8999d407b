"""A rank that has nothing of what is cut still gives its share, and an index of nobody is an error."""

from collections.abc import Callable

import pytest
import torch

from outgrow.placement import Partial, Placement, Shard
from outgrow.shard.rules import Row, rows
from outgrow.shard.rules.verify import Sample, check_rows, sample_of

CPU = torch.device("cpu")
SUM = Partial()


def _real(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


def _nll(target: torch.Tensor) -> Sample:
    return sample_of("aten.nll_loss_forward.default", _real(3, 5), target, None, 2, -100)


def _nll_backward(target: torch.Tensor) -> Sample:
    total = torch.tensor(3.0).double()
    return sample_of("aten.nll_loss_backward.default", _real(), _real(3, 5), target, None, 2, -100, total)


LOOKUPS: dict[str, tuple[Callable[[torch.Tensor], Sample], Placement, Placement]] = {
    "embedding": (lambda at: sample_of("aten.embedding.default", _real(5, 2), at), Shard(0), SUM),
    "gather": (lambda at: sample_of("aten.gather.default", _real(5), 0, at), Shard(0), SUM),
    "index_select": (lambda at: sample_of("aten.index_select.default", _real(5, 2), 0, at), Shard(0), SUM),
    "nll_loss_forward": (_nll, Shard(1), SUM),
}
"""By name: a call with these indices, how the table is held, and what that gives."""

REDUCTIONS: dict[str, Sample] = {
    "mean": sample_of("aten.mean.dim", _real(5, 3), [0]),
    "mse_loss": sample_of("aten.mse_loss.default", _real(5, 3), _real(5, 3) + 1, 1),
}


def _row(sample: Sample, held: Placement, made: Placement) -> Row:
    """The one row with a kernel of its own that holds some input so."""
    (row,) = (
        row for row in rows(sample.template, 2)
        if row.kernel and held in row.inputs and row.outputs[0] == made
    )  # fmt: skip
    return row


@pytest.mark.parametrize("world_size", [4, 8])
@pytest.mark.parametrize("name", LOOKUPS)
def test_a_rank_with_nothing_of_a_table_adds_zeros(name: str, world_size: int) -> None:
    call, held, made = LOOKUPS[name]
    sample = call(torch.tensor([4, 0, 2]))
    assert list(check_rows(sample, world_size, known=[_row(sample, held, made)])) == []


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_rank_with_nothing_of_a_mean_adds_zero(name: str) -> None:
    sample = REDUCTIONS[name]
    assert list(check_rows(sample, 8, known=[_row(sample, Shard(0), SUM)])) == []


def test_a_rank_with_no_class_has_an_empty_gradient() -> None:
    sample = _nll_backward(torch.tensor([4, 0, 2]))
    assert list(check_rows(sample, 8, known=[_row(sample, Shard(1), Shard(1))])) == []


@pytest.mark.parametrize("outside", [-1, 5])
@pytest.mark.parametrize("rank", range(3))
@pytest.mark.parametrize("name", LOOKUPS)
def test_an_index_that_no_rank_has_is_an_error_on_every_rank(name: str, rank: int, outside: int) -> None:
    call, held, made = LOOKUPS[name]
    sample = call(torch.tensor([4, 0, 2]))
    kernel = _row(sample, held, made).kernel(rank, 3, CPU)
    wrong = torch.tensor([4, outside, 2])
    pieces = [
        wrong if one.dtype == torch.int64 else one.tensor_split(3, held.dim)[rank] for one in sample.inputs
    ]
    with pytest.raises(IndexError, match=r"out of (range|bounds)"):
        kernel(pieces, ())
