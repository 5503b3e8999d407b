"""Every rule against torch on simulated ranks, and the registry against torch's own list of ops."""

import pytest
import torch

from outgrow.placement import Partial, Replicate, Shard
from outgrow.shard.rules import RULES, Row, rows, rule_of
from outgrow.shard.rules.pointwise import POINTWISE
from outgrow.shard.rules.verify import check_rows, sample_of
from tests.shard.rules import rule_samples


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("op", RULES)
def test_every_row_of_every_rule_gives_what_torch_gives(op: str) -> None:
    samples = rule_samples.samples_of(RULES[op].__name__, op)
    assert samples, "a rule without samples is not known to be right"
    for sample in samples:
        for world_size in (2, 3, 8):
            assert list(check_rows(sample, world_size)) == []
        first, again = rows(sample.template, 2), rows(sample.template, 2)
        assert [row[:2] for row in first] == [row[:2] for row in again]
        assert first[0].inputs == (Replicate(),) * len(sample.inputs)
        assert len(rows(sample.template, 1)) == 1
    assert any(len(rows(sample.template, 2)) > 1 for sample in samples), "no sample has a row of its own"


def _wrong_rows() -> list[tuple[str, object, Row]]:
    whole, rows_, columns, total = Replicate(), Shard(0), Shard(1), Partial()
    first, second = torch.randn(8, 8).double(), torch.randn(8, 8).double()
    return [
        (
            "a product of partial sums",
            sample_of("aten.mul.Tensor", first, second),
            Row((total, total), (total,)),
        ),
        ("a nonlinear op of a partial sum", sample_of("aten.relu.default", first), Row((total,), (total,))),
        (
            "a bias added by every rank",
            sample_of("aten.add.Tensor", first, second),
            Row((total, whole), (total,)),
        ),
        ("the wrong dim", sample_of("aten.mm.default", first, second), Row((rows_, whole), (columns,))),
        ("a softmax of pieces", sample_of("aten._softmax.default", first, 0, False), Row((rows_,), (rows_,))),
        ("a mean of pieces taken as a sum", sample_of("aten.mean.default", first), Row((rows_,), (total,))),
        ("pieces taken for the whole", sample_of("aten.sum.default", first), Row((rows_,), (whole,))),
        ("too few placements", sample_of("aten.mm.default", first, second), Row((rows_,), (rows_,))),
        (
            "a loss's gradient divided by the piece",
            sample_of("aten.mse_loss_backward.default", torch.tensor(1.0).double(), first, second, 1),
            Row((whole, rows_, rows_), (rows_,)),
        ),
    ]


@pytest.mark.parametrize(
    ("name", "sample", "row"), _wrong_rows(), ids=lambda value: value if type(value) is str else ""
)
def test_a_row_that_is_wrong_is_told(name: str, sample, row: Row) -> None:
    assert list(check_rows(sample, 2, known=[row]))


def test_a_kernel_that_writes_into_what_it_was_lent_is_told() -> None:
    sample = sample_of("aten.relu.default", torch.randn(8).double())

    def kernel(rank, world_size, device):
        return lambda inputs, floats: (inputs[0].relu_(),)

    (wrong,) = check_rows(sample, 2, known=[Row((Shard(0),), (Shard(0),), kernel)])
    assert "wrote into input 0" in wrong


def test_pieces_in_another_order_of_memory_are_tried() -> None:
    sample = sample_of("aten.view.default", torch.randn(8, 6).double(), [48])

    def kernel(rank, world_size, device):
        return lambda inputs, floats: (inputs[0].view(48 // world_size),)

    (wrong,) = check_rows(sample, 2, known=[Row((Shard(0),), (Shard(0),), kernel)])
    assert "reversed" in wrong


def test_variants_that_write_and_lists_have_the_rows_of_the_plain_op() -> None:
    for op in ("aten.add_.Tensor", "aten._foreach_add.List", "aten._foreach_add_.Scalar", "aten.add.Scalar"):
        assert rule_of(op) is RULES["aten.add"]
    assert rule_of("aten.__and__.Tensor") is RULES["aten.__and__"]
    assert rule_of("aten.svd.default") is None


def test_an_op_that_writes_into_a_given_output_runs_replicated() -> None:
    sample = sample_of("aten.mm.out", torch.randn(8, 8), torch.randn(8, 8), out=torch.empty(8, 8))
    assert len(rows(sample.template, 2)) == 1


def test_all_that_torch_calls_pointwise_has_a_rule() -> None:
    # `rrelu` draws numbers, `equal` gives no tensor.
    known = {"aten.rrelu", "aten.equal"}
    missing = set()
    for schema in torch._C._jit_get_all_schemas():
        if not schema.name.startswith("aten::") or "out" in schema.overload_name:
            continue
        packet = getattr(torch.ops.aten, schema.name.removeprefix("aten::"))
        op = getattr(packet, schema.overload_name or "default")
        name = f"aten.{schema.name.removeprefix('aten::')}"
        if torch.Tag.pointwise in op.tags and rule_of(f"{name}.x") is None and name not in known:
            missing.add(name)
    assert missing == set()


def test_pointwise_names_are_ops_of_torch() -> None:
    assert [name for name in POINTWISE if not _exists(name)] == []


def _exists(packet: str) -> bool:
    name = packet.removeprefix("aten.")
    return hasattr(torch.ops.aten, name) or hasattr(torch.ops.aten, name + "_")


def test_partial_sums_are_not_divided_by_tensors_that_may_hold_zeros() -> None:
    tensor = torch.ones(4).double()
    for sample in (
        sample_of("aten.div.Tensor", tensor, tensor),
        sample_of("aten.div_.Tensor", tensor, torch.ones(()).double()),
        sample_of("aten.div.Scalar", tensor, 0),
        sample_of("aten.addcdiv.default", tensor, tensor, tensor),
    ):
        assert all(not isinstance(one, Partial) for row in rows(sample.template, 2) for one in row.inputs)
    by_number = sample_of("aten.div.Tensor", tensor, 4.0)
    assert any(isinstance(row.inputs[0], Partial) for row in rows(by_number.template, 2))
