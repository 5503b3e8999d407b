from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from outgrow.placement import Partial, Replicate, Shard
from outgrow.shard.instructions import FLOAT, INPUT, Segment, Step, Template, TensorMeta
from outgrow.shard.ranks.eager import Eager
from outgrow.shard.ranks.held import Held
from outgrow.shard.ranks.redistribute import redistribute
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric
from outgrow.shard.replay.graph import Kind
from outgrow.shard.replay.program import Program, compile_program
from outgrow.shard.rules import rows
from tests.shard.replay.builder import Builder, Ref, meta_of


def held(tensor: Tensor, placement: Any, fabric: SimulatedFabric) -> Held:
    whole = Held(meta_of(tensor), Replicate(), [tensor.clone() for _ in fabric.lanes])
    pieces = redistribute(whole.pieces, whole.meta, Replicate(), placement, fabric)
    return Held(whole.meta, placement, [None if one is None else one.clone() for one in pieces])


def whole(value: Held, fabric: SimulatedFabric) -> Tensor:
    piece = redistribute(value.pieces, value.meta, value.placement, Replicate(), fabric)[0]
    assert piece is not None
    return piece


def compiled(builder: Builder, placements: Any, live: Any, dying: Any, fabric: Any) -> Program:
    eager = Eager(fabric)
    ops = eager.prepare(builder.segment())
    rows = eager.greedy_rows(ops, placements)
    return compile_program(ops.segment, rows, placements, dict.fromkeys(live), frozenset(dying), fabric)


def run(program: Program, values: Any, fabric: Any) -> list[list[Any]]:
    results = program.run([[value.pieces[lane] for value in values] for lane in range(len(fabric.lanes))], ())
    return [[None if one is None else one[at] for one in results] for at in range(len(program.outputs))]


def check_against_eager(builder: Builder, tensors: Any, placements: Any, live: Any, dying: Any) -> Program:
    """The program gives eager's bits, twice, and leaves what lives on as it was."""
    fabric = SimulatedFabric(2)
    program = compiled(builder, placements, live, dying, fabric)
    eager = Eager(fabric)
    ops = eager.prepare(builder.segment())
    values = [held(t, p, fabric) for t, p in zip(tensors, placements, strict=True)]
    expected = eager.run(ops, values, (), live, 0)
    assert all(value.failure is None for value in expected), expected[0].failure
    wholes = [whole(value, fabric).clone() for value in expected]
    for _ in range(2):
        given_values = [held(t, p, fabric) for t, p in zip(tensors, placements, strict=True)]
        made = run(program, given_values, fabric)
        for at, right in enumerate(wholes):
            got = Held(expected[at].meta, program.outputs[at], made[at])
            torch.testing.assert_close(whole(got, fabric), right, rtol=1e-6, atol=1e-6)
        for index, (value, tensor) in enumerate(zip(given_values, tensors, strict=True)):
            if index not in dying:
                assert torch.equal(whole(value, fabric), tensor), f"input {index} was written"
    return program


def test_an_update_whose_old_value_dies_runs_in_place():
    parameter, gradient = torch.randn(4, 6), torch.randn(4, 6)
    builder = Builder(parameter, gradient)
    builder.op("aten.add_.Tensor", Ref(-1), Ref(-2), mutates=(0,))
    fabric = SimulatedFabric(2)
    program = compiled(builder, [Shard(0), Shard(0)], [0], [0], fabric)
    assert program.donated == {0}
    values = [held(one, Shard(0), fabric) for one in (parameter, gradient)]
    before = [piece.data_ptr() for piece in values[0].pieces if piece is not None]
    (made,) = run(program, values, fabric)
    assert [piece.data_ptr() for piece in made] == before
    assert program.is_own == (True,)


def test_an_update_whose_old_value_lives_on_takes_a_copy():
    parameter, gradient = torch.randn(4, 6), torch.randn(4, 6)
    builder = Builder(parameter, gradient)
    builder.op("aten.add_.Tensor", Ref(-1), Ref(-2), mutates=(0,))
    program = check_against_eager(builder, [parameter, gradient], [Replicate()] * 2, [0], [])
    assert not program.donated


def test_a_view_of_the_old_value_keeps_its_contents():
    parameter = torch.randn(4, 6)
    builder = Builder(parameter)
    builder.op("aten.t.default", Ref(-1))
    builder.op("aten.mul_.Tensor", Ref(-1), Ref(-1), mutates=(0,))
    program = check_against_eager(builder, [parameter], [Replicate()], [0, 1], [0])
    assert not program.donated


def test_a_redistribution_is_made_once_for_all_who_want_it():
    x, weight = torch.randn(4, 6), torch.randn(6, 6)
    builder = Builder(x, weight)
    first = builder.op("aten.mm.default", Ref(-1), Ref(-2))
    builder.op("aten.mm.default", Ref(-1), Ref(-2))
    builder.op("aten.add.Tensor", Ref(first), Ref(first + 1))
    fabric = SimulatedFabric(2)
    eager = Eager(fabric)
    ops = eager.prepare(builder.segment())
    rows = [op.rows[0] for op in ops.ops]
    program = compile_program(ops.segment, rows, [Shard(0), Replicate()], {2: None}, frozenset(), fabric)
    assert [node.kind for node in program.graph.nodes].count(Kind.MOVE) == 1


def test_small_sums_share_a_buffer_and_start_as_soon_as_they_are_there():
    x, w = torch.randn(8, 4), torch.randn(8, 4)
    builder = Builder(x, w)
    transposed = builder.op("aten.t.default", Ref(-1))
    sums = [builder.op("aten.mm.default", Ref(transposed), Ref(-2)) for _ in range(3)]
    builder.op("aten.relu.default", Ref(-1))
    live = [builder.op("aten.relu.default", Ref(one)) for one in sums]
    program = check_against_eager(builder, [x, w], [Shard(0), Shard(0)], live, [])
    kinds = [node.kind for node in program.graph.nodes]
    assert kinds.count(Kind.START) == 1
    assert kinds.count(Kind.WAIT) == 1
    assert Kind.MOVE not in kinds


def test_what_nobody_reads_is_not_run():
    x = torch.randn(4, 6)
    builder = Builder(x)
    builder.op("aten.relu.default", Ref(-1))
    builder.op("aten.mul.Tensor", Ref(-1), Ref(-1))
    program = compiled(builder, [Replicate()], [1], [], SimulatedFabric(2))
    assert len(program.graph.nodes) == 1


def test_ops_that_differ_in_a_float_alone_are_not_taken_for_one():
    meta = TensorMeta((4,), (1,), torch.float32)
    drop = Template(op="aten.dropout.default", args=(INPUT, FLOAT, True), inputs=(meta,), outputs=(meta,))
    step = Step(0, (-1,), 1, 1)
    segment = Segment(templates=(drop,), steps=(step, step), inputs=(meta,))
    live, whole = {0: Replicate(), 1: Replicate()}, (rows(drop, 1)[0],) * 2
    program = compile_program(segment, whole, [Replicate()], live, frozenset(), SimulatedFabric(1))
    ((kept, dropped),) = program.run([[torch.ones(4)]], (0.0, 1.0))
    assert kept.tolist() == [1.0] * 4
    assert dropped.tolist() == [0.0] * 4


def test_an_error_names_its_step():
    x = torch.randn(4, 6)
    builder = Builder(x, torch.zeros(2, dtype=torch.int64))
    builder.op("aten.relu.default", Ref(-1))
    builder.op("aten.index_select.default", Ref(0), 0, Ref(-2))
    fabric = SimulatedFabric(2)
    program = compiled(builder, [Replicate()] * 2, [1], [], fabric)
    values = [held(x, Replicate(), fabric), held(torch.tensor([0, 99]), Replicate(), fabric)]
    with pytest.raises((IndexError, RuntimeError)) as caught:
        run(program, values, fabric)
    assert program.failed_step(caught.value) == 1


UNARY = ("aten.relu.default", "aten.neg.default", "aten.clone.default", "aten.detach.default")
VIEWS = ("aten.t.default", "aten.alias.default")
BINARY = ("aten.add.Tensor", "aten.mul.Tensor", "aten.mm.default")
PLACEMENTS = (Replicate(), Shard(0), Shard(1), Partial())
IN_PLACE = ("aten.add_.Tensor", "aten.mul_.Tensor", "aten.copy_.default")


@settings(max_examples=120, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(UNARY + VIEWS + BINARY + IN_PLACE), st.integers(0, 99), st.integers(0, 99)),
        min_size=1,
        max_size=14,
    ),
    live=st.sets(st.integers(0, 13), min_size=1),
    dying=st.sets(st.integers(0, 2)),
    placements=st.lists(st.sampled_from(PLACEMENTS), min_size=3, max_size=3),
)
def test_random_programs_with_views_and_writes_give_what_eager_gives(steps, live, dying, placements):
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randint(-2, 3, (4, 4), generator=generator).double() for _ in range(3)]
    builder = Builder(*tensors)
    for name, one, other in steps:
        refs = [-3, -2, -1, *range(len(builder.metas))]
        first, second = refs[one % len(refs)], refs[other % len(refs)]
        if name in IN_PLACE:
            builder.op(name, Ref(first), Ref(second), mutates=(0,))
        elif name in BINARY:
            builder.op(name, Ref(first), Ref(second))
        else:
            builder.op(name, Ref(first))
    wanted = sorted({number % len(builder.metas) for number in live})
    check_against_eager(builder, tensors, placements, wanted, dying)
