"""Rows in the middle of which ranks talk run the same step by step and in programs, beside other ops."""

import pytest
import torch

from outgrow.placement import Placement, Replicate, Shard
from outgrow.shard.instructions import INPUT, Segment, Step, Template
from outgrow.shard.planner.cost import CostModel
from outgrow.shard.planner.problem import Costs
from outgrow.shard.ranks.block_ops import BLOCK_OPS
from outgrow.shard.ranks.eager import Eager
from outgrow.shard.ranks.held import Held
from outgrow.shard.ranks.kernels import OWN_OPS, template_kernel
from outgrow.shard.ranks.redistribute import redistribute
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric
from outgrow.shard.replay.program import compile_program
from outgrow.shard.rules import RULES, Row, rows
from outgrow.shard.rules.placing import PLACE
from outgrow.shard.rules.verify import Sample, check_rows, sample_of
from tests.shard.rules import rule_samples

CPU = torch.device("cpu")


def _softmax() -> Sample:
    return sample_of("aten._log_softmax.default", torch.randn(6, 8).double(), 1, False)


def _batch_norm() -> Sample:
    weight, running = torch.rand(3).double(), (torch.zeros(3).double(), torch.ones(3).double())
    return sample_of(
        "aten._native_batch_norm_legit.default",
        torch.randn(8, 3, 4).double(), weight, weight + 1, *running, True, 0.1, 1e-5,
    )  # fmt: skip


def _staged(sample: Sample, world_size: int) -> Row:
    return next(row for row in rows(sample.template, world_size) if row.parts)


def _segment(sample: Sample) -> Segment:
    """The op between two others: its first input is doubled before, its results after."""
    template = sample.template

    def double(meta):
        return Template(op="aten.mul.Tensor", args=(INPUT, 2), inputs=(meta,), outputs=(meta,))

    others = tuple(-1 - place for place in range(1, len(template.inputs)))
    count = len(template.outputs)
    after = tuple(double(meta) for meta in template.outputs)
    steps = [Step(0, (-1,), 1, 0), Step(1, (0, *others), count, len(sample.floats))]
    steps += [Step(2 + place, (1 + place,), 1, 0) for place in range(count)]
    return Segment(
        templates=(double(template.inputs[0]), template, *after), steps=tuple(steps), inputs=template.inputs
    )


def _held(sample: Sample, placements: tuple[Placement, ...], fabric: SimulatedFabric) -> list[Held]:
    made = []
    for tensor, meta, placement in zip(sample.inputs, sample.template.inputs, placements, strict=True):
        pieces = redistribute([tensor.clone() for _ in fabric.lanes], meta, Replicate(), placement, fabric)
        made.append(Held(meta, placement, pieces))
    return made


@pytest.mark.parametrize("make", [_softmax, _batch_norm], ids=["softmax", "batch norm"])
@pytest.mark.parametrize("world_size", [2, 4])
def test_staged_rows_give_the_whole_eagerly_and_in_programs(make, world_size: int) -> None:
    sample = make()
    row, segment, fabric = _staged(sample, world_size), _segment(sample), SimulatedFabric(world_size)
    cut = row.inputs[0]

    def choose(known: tuple[Row, ...], placements: list[Placement], template: Template) -> Row:
        if template == sample.template:
            return row
        return next(one for one in known if one.inputs == tuple(placements))

    placements = (cut, *(Replicate() for _ in sample.inputs[1:]))
    live = tuple(range(1 + 2 * len(sample.template.outputs)))
    eager = Eager(fabric, choose)
    made = eager.run(eager.prepare(segment), _held(sample, placements, fabric), sample.floats, live, 0)
    assert all(held.failure is None for held in made), made[1].failure
    chosen = eager.greedy_rows(eager.prepare(segment), placements)
    program = compile_program(segment, chosen, placements, dict.fromkeys(live), frozenset(), fabric)
    given = _held(sample, placements, fabric)
    lanes = program.run([[held.pieces[lane] for held in given] for lane in fabric.lanes], sample.floats)
    doubled = sample.inputs[0] * 2, *sample.inputs[1:]
    expected = sample_of(sample.template.op, *doubled, *_rest(sample)).template
    whole = _plain(expected, list(doubled), sample.floats)
    for number, right in enumerate(whole):
        held = made[1 + number]
        eagerly = redistribute(held.pieces, held.meta, held.placement, Replicate(), fabric)[0]
        torch.testing.assert_close(eagerly, right)
        pieces = [lane[1 + number] for lane in lanes]
        replayed = redistribute(pieces, held.meta, program.outputs[1 + number], Replicate(), fabric)[0]
        torch.testing.assert_close(replayed, right)
        last = made[1 + len(whole) + number]
        torch.testing.assert_close(
            redistribute(last.pieces, last.meta, last.placement, Replicate(), fabric)[0], right * 2
        )
    for held, tensor in zip(given[1:], sample.inputs[1:], strict=True):
        assert torch.equal(held.pieces[0], tensor), "an input was written"


def _rest(sample: Sample) -> tuple:
    floats = iter(sample.floats)
    return tuple(
        next(floats) if str(one) == "Marker.FLOAT" else one
        for one in sample.template.args[len(sample.inputs) :]
    )


def _plain(
    template: Template, inputs: list[torch.Tensor], floats: tuple[float, ...]
) -> tuple[torch.Tensor, ...]:
    return template_kernel(template, CPU)([one.clone() for one in inputs], floats)


@pytest.mark.parametrize(
    "row_values",
    [
        [[0.0, float("-inf"), 1.0, 2.0], [float("-inf")] * 2 + [1.0, 2.0]],
        [[float("-inf")] * 4, [1.0, float("inf"), 2.0, 3.0]],
        [[1e300, -1e300, 0.0, 1.0], [float("nan"), 0.0, 1.0, 2.0]],
    ],
    ids=["masked", "all masked and infinite", "large and NaN"],
)
@pytest.mark.parametrize("name", ["_softmax", "_log_softmax"])
def test_softmax_along_a_cut_dim_treats_infinities_as_torch_does(name: str, row_values) -> None:
    sample = sample_of(f"aten.{name}.default", torch.tensor(row_values).double(), 1, False)
    assert list(check_rows(sample, 2)) == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_softmax_of_16_bits_is_added_up_in_32(dtype: torch.dtype) -> None:
    tensor = (torch.randn(4, 4096) * 3).to(dtype)
    assert list(check_rows(sample_of("aten._log_softmax.default", tensor, 1, False), 2)) == []


def test_a_staged_row_costs_its_parts_and_what_is_said_between_them() -> None:
    names = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast")
    costs = Costs(
        world_size=2, latency_seconds=dict.fromkeys(names, 1.0), bandwidth=dict.fromkeys(names, 1e9),
        flops=1e12,
        solo_flops=1e12, memory_bandwidth=1e9, solo_memory_bandwidth=1e9,
    )  # fmt: skip
    sample = _softmax()
    seconds = CostModel(costs).row(sample.template, _staged(sample, 2))
    assert 1.0 < seconds < 1.01
    assert CostModel(costs).row(sample.template, Row((Shard(0),), (Shard(0),))) < 0.01


def test_every_op_of_our_own_is_used_by_a_row_and_runs() -> None:
    reached = {name for name in OWN_OPS if name in RULES or name == PLACE}
    for op in ("aten._softmax", "aten._softmax_backward_data", "aten.native_batch_norm_backward"):
        for sample in rule_samples.samples_of(RULES[op].__name__, op):
            for row in rows(sample.template, 2):
                reached |= {part.template.op for part, _ in row.parts}
    reached |= {part.template.op for part, _ in _staged(_batch_norm(), 2).parts}
    assert reached == set(OWN_OPS)
    assert set(BLOCK_OPS) <= set(OWN_OPS)
