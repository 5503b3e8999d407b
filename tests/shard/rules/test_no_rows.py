"""Calls that no piece can answer run replicated, or keep only the rows that hold for them."""

import pytest
import torch

from outgrow.placement import Partial, Replicate, Shard
from outgrow.shard.instructions import INPUT, Template, TensorMeta
from outgrow.shard.rules import Row, rows
from outgrow.shard.rules.verify import Sample, check_rows, sample_of
from outgrow.shard.rules.view import same_dims

WHOLE, SUM = Replicate(), Partial()
FIRST, SECOND = Shard(0), Shard(1)
PLAIN = [1], [1], [1], False, [0]


def _real(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


def _places(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers)


def _meta(*shape: int) -> TensorMeta:
    return TensorMeta(shape, tuple(torch.empty(shape).stride()), torch.float64)


ALONE: dict[str, tuple] = {
    "a lookup in a lone number": ("aten.gather.default", _real(), 0, _places(0)),
    "a choice from a lone number": ("aten.index_select.default", _real(), 0, _places(0)),
    "a lone number that is written": ("aten.scatter.src", _real(), 0, _places(0), _real(1)),
    "a lone number that is added to": ("aten.index_add.default", _real(), 0, _places(0), _real()),
    "a table of many rows": ("aten.searchsorted.Tensor", _real(8, 7).sort().values, _real(8, 4)),
    "a mask that is written by": (
        "aten.index_put.default", _real(8, 7), [_real(8) > 0], _real(7),
    ),
    "an empty list among matrices": ("aten.cat.default", [torch.empty(0).double(), _real(8, 6)], 0),
    "a target that is wider": ("aten.mse_loss.default", _real(8), _real(6, 8), 2),
    "a gradient that is wider": ("aten.mse_loss_backward.default", _real(), _real(1), _real(6, 1), 2),
    "scores of one sample": ("aten.nll_loss_forward.default", _real(8), torch.tensor(3), None, 2, -100),
    "a norm of all dims": ("aten.native_layer_norm.default", _real(8), [8], None, None, 1e-5),
    "lists of unlike tensors": ("aten._foreach_sqrt.default", [_real(8, 6).abs(), _real(4).abs()]),
    "numbers from a tensor on": ("aten.linspace.Tensor_Scalar", _real(), 2, 8),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ALONE)
def test_what_no_piece_can_answer_runs_replicated(name: str) -> None:
    op, *args = ALONE[name]
    sample = sample_of(op, *args)
    (row,) = rows(sample.template, 2)
    assert row == Row((WHOLE,) * len(sample.inputs), (WHOLE,) * len(row.outputs))


def _placements(sample: Sample, world_size: int = 2) -> list[tuple]:
    """Inputs and outputs of all rows but the replicated one, each of which is right."""
    assert list(check_rows(sample, world_size)) == []
    return [row[:2] for row in rows(sample.template, world_size)[1:]]


def test_a_gradient_of_a_lone_sample_is_linear_and_no_more() -> None:
    total = torch.tensor(1.0).double()
    given = _real(), _real(8), torch.tensor(3), None, 2, -100, total
    assert _placements(sample_of("aten.nll_loss_backward.default", *given)) == []


def test_whole_numbers_are_not_summed_over_pieces_of_a_table() -> None:
    table = torch.arange(48).reshape(8, 6)
    found = _placements(sample_of("aten.index_select.default", table, 0, _places(3, 1, 7, 0)))
    assert found == [((SECOND, WHOLE), (SECOND,)), ((WHOLE, FIRST), (FIRST,))]


def test_a_table_one_wide_is_not_cut_across() -> None:
    found = _placements(sample_of("aten.embedding.default", _real(8, 1), torch.arange(4)))
    assert found == [((WHOLE, FIRST), (FIRST,)), ((FIRST, WHOLE), (SUM,)), ((SUM, WHOLE), (SUM,))]
    back = sample_of("aten.embedding_dense_backward.default", _real(4, 1), torch.arange(4), 8, -1, False)
    assert _placements(back) == [
        ((FIRST, FIRST), (SUM,)),
        ((WHOLE, WHOLE), (FIRST,)),
        ((SUM, WHOLE), (SUM,)),
    ]


def test_what_is_added_at_one_place_is_not_cut_by_places() -> None:
    sample = sample_of("aten.index_put.default", _real(8, 6), [_places(3)], _real(1, 6), True)
    assert _placements(sample) == [((SECOND, WHOLE, SECOND), (SECOND,)), ((SUM, WHOLE, SUM), (SUM,))]


def test_a_loss_is_cut_only_where_its_first_input_is_as_wide() -> None:
    found = _placements(sample_of("aten.mse_loss.default", _real(1, 6), _real(4, 6), 2))
    assert found == [((SECOND, SECOND), (SUM,))]


def test_groups_that_ranks_cannot_share_are_not_cut() -> None:
    given = _real(4, 6, 5), _real(4, 3, 5), _real(6, 1, 3), [6], *PLAIN, 3, [True, True, True]
    sample = sample_of("aten.convolution_backward.default", *given)
    assert _placements(sample) == [
        ((FIRST, FIRST, WHOLE), (FIRST, SUM, SUM)),
        ((SUM, WHOLE, WHOLE), (SUM, SUM, SUM)),
    ]


def test_a_group_norm_without_a_weight_is_cut_by_groups() -> None:
    data = _real(3, 4, 5)
    _, mean, rstd = torch.ops.aten.native_group_norm(data, None, None, 3, 4, 5, 2, 1e-5)
    given = _real(3, 4, 5), data, mean, rstd, None, 3, 4, 5, 2, [True, False, False]
    sample = sample_of("aten.native_group_norm_backward.default", *given)
    assert ((SECOND,) * 4, (SECOND,)) in _placements(sample)


def test_a_diagonal_that_is_not_given_moves_with_the_piece() -> None:
    found = _placements(sample_of("aten.tril.default", _real(6, 8)))
    assert found == [((FIRST,), (FIRST,)), ((SECOND,), (SECOND,)), ((SUM,), (SUM,))]


def test_heads_that_share_their_keys_are_not_cut() -> None:
    name = "aten._scaled_dot_product_flash_attention_for_cpu.default"
    args = (INPUT, INPUT, INPUT)
    queries, keys, sums = _meta(4, 8, 5, 3), _meta(4, 2, 6, 3), _meta(4, 8, 5)
    template = Template(op=name, args=args, inputs=(queries, keys, keys), outputs=(queries, sums))
    assert [row[:2] for row in rows(template, 2)[1:]] == [((FIRST,) * 3, (FIRST,) * 2)]
    template = Template(op=name, args=args, inputs=(queries,) * 3, outputs=(queries, sums))
    assert ((SECOND,) * 3, (SECOND,) * 2) in [row[:2] for row in rows(template, 2)]


def test_what_the_program_says_is_the_only_row() -> None:
    meta = _meta(8, 6)
    template = Template(
        op="outgrow.place.default", args=(INPUT, str(SECOND)), inputs=(meta,), outputs=(meta,)
    )
    assert rows(template, 2) == (Row((SECOND,), (SECOND,)),)
    assert rows(template, 1) == (Row((WHOLE,), (WHOLE,)),)


def test_a_table_with_an_order_of_its_own_is_searched_whole() -> None:
    table, wanted = _real(8), _real(8, 4)
    order = table.argsort()
    assert _placements(sample_of("aten.searchsorted.Tensor", table, wanted, sorter=order)) == []
    found = _placements(sample_of("aten.searchsorted.Tensor", table[order], wanted))
    assert found == [((WHOLE, FIRST), (FIRST,)), ((WHOLE, SECOND), (SECOND,))]


def test_a_lone_number_can_be_transposed_and_not_cut() -> None:
    assert _placements(sample_of("aten.transpose.int", _real(), 0, -1)) == [((SUM,), (SUM,))]


@pytest.mark.parametrize(("old", "new"), [((2, 3), (5,)), ((4,), (2, 3)), ((0, 4), (4, 0))])
def test_shapes_that_cannot_be_read_as_each_other_have_no_dim_in_common(old, new) -> None:
    assert same_dims(old, new, 2) == []


WRITES = {
    "selected, then sliced": [("aten.select.int", (0, 3)), ("aten.slice.Tensor", (0, 1, 5, 2))],
    "sliced, then turned": [("aten.slice.Tensor", (0, 1, 7, 2)), ("aten.t.default", ())],
    "turned, then selected": [("aten.t.default", ()), ("aten.select.int", (1, 5))],
}


@pytest.mark.parametrize("name", WRITES)
def test_each_rank_writes_what_is_its_own_along_the_cut_dim(name: str) -> None:
    whole = _real(8, 6)
    view, chain = whole, tuple((op, args, (), None) for op, args in WRITES[name])
    for op, args in WRITES[name]:
        _, packet, overload = op.split(".")
        view = getattr(getattr(torch.ops.aten, packet), overload)(view, *args)
    found = _placements(sample_of("outgrow.write_view", whole, _real(*view.shape), chain))
    assert ((FIRST, WHOLE), (FIRST,)) in found


def test_along_a_dim_that_is_looked_at_twice_nothing_is_written_in_pieces() -> None:
    chain = (("aten.slice.Tensor", (0, 1, 7), (), None), ("aten.slice.Tensor", (0, 1, 4), (), None))
    found = _placements(sample_of("outgrow.write_view", _real(8, 6), _real(3, 6), chain))
    assert found == [((SECOND, SECOND), (SECOND,)), ((SUM, SUM), (SUM,))]
