"""What every plan promises, of models of every kind, and what the window makes of it."""

import random

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from outgrow.stream.plan import BudgetTooSmall, Plan, least_budget, make_plan
from outgrow.stream.residency import Residency, State
from outgrow.stream.weights import Use
from tests.stream.described_models import MIB, MODELS
from tests.stream.weight_makers import weight


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("in_place", [True, False])
def test_plans_of_models_hold_their_budgets(name, share, in_place):
    weights, order = MODELS[name]
    budget = int(sum(each.nbytes for each in weights) * share)
    plan = make_plan(weights, budget_bytes=max(budget, least_budget(weights, order=order, in_place=in_place)),
                     order=order, in_place=in_place)  # fmt: skip
    check_plan(plan, weights, order)
    if share == 0.9 and name == "untied":
        assert plan.resident_bytes > 0.7 * budget


def test_staging_memory_outside_of_the_budget():
    weights, order = MODELS["untied"]
    inside = make_plan(weights, budget_bytes=4 * MIB, order=order, in_place=False)
    outside = make_plan(weights, budget_bytes=4 * MIB, order=order, in_place=False, staged_bytes=MIB)
    assert outside.staging_bytes > inside.staging_bytes > 0
    assert outside.chunk_bytes == MIB
    assert outside.counted_staging_bytes == 0
    assert outside.reserved_bytes <= 4 * MIB


def check_plan(plan: Plan, weights, order) -> None:
    """What holds for every plan."""
    assert plan.reserved_bytes <= plan.budget_bytes
    assert [piece.index for piece in plan.pieces] == list(range(len(plan.pieces)))
    for each in weights:
        bounds = [(piece.first_row, piece.last_row) for piece in plan.pieces_of[each.index]]
        rows = each.shape[0] if each.shape else 1
        assert [begin for begin, _ in bounds] == [0, *(end for _, end in bounds[:-1])]
        assert bounds[-1][1] == rows
        if each.use in (Use.WHOLE, Use.GATHER):
            assert len(bounds) == 1
    resident = {piece.index for piece in plan.pieces if piece.index in plan.resident}
    assert resident == plan.resident
    streams = [
        piece.index
        for index in order
        if weights[index].use is not Use.GATHER
        for piece in plan.pieces_of[index]
        if piece.index not in plan.resident
    ]
    assert list(plan.order) == streams
    for piece in plan.pieces:
        if piece.index in plan.resident:
            continue
        print_of = plan.footprints[piece.index]
        if piece.weight.use is Use.GATHER:
            assert piece.weight.index in plan.gathered
            assert piece.index not in plan.order
        else:
            assert print_of.nbytes <= plan.window_bytes
            assert print_of.is_in_place or plan.staging_bytes > 0
    assert all(weights[index].use is Use.GATHER for index in plan.gathered)
    assert plan.window_bytes % 4096 == 0
    if plan.order:
        assert plan.window_bytes > 0


DTYPES = [torch.float32, torch.bfloat16, torch.uint8]


@st.composite
def models(draw):
    """Weights of odd shapes, uses, dtypes and places, and an order that uses some twice and some never."""
    weights = []
    for index in range(draw(st.integers(1, 12))):
        use = draw(st.sampled_from(Use))
        dims = draw(st.integers(0, 3)) if use is Use.WHOLE else 2
        shape = tuple(draw(st.sampled_from([0, 1, 3, 64, 127, 200, 513])) for _ in range(dims))
        dtype = draw(st.sampled_from(DTYPES))
        weights.append(
            weight(
                index,
                shape if dims < 3 else (*shape[:2], 3),
                use,
                dtype,
                stored=draw(st.sampled_from([dtype, dtype, torch.float32])),
                offset=draw(st.sampled_from([0, 8, 100, 4096])),
                parts=draw(st.sampled_from([1, 1, 2])),
            )
        )
    used = [each.index for each in weights if draw(st.booleans()) or draw(st.booleans())]
    order = draw(st.permutations(used + draw(st.lists(st.sampled_from(used), max_size=3)) if used else []))
    return weights, list(order)


@given(
    model=models(),
    share=st.floats(0.02, 1.1),
    threads=st.integers(1, 5),
    in_place=st.booleans(),
    data=st.data(),
)
@settings(deadline=None, max_examples=150)
def test_every_plan_is_right_or_names_a_budget_that_is(model, share, threads, in_place, data):
    weights, order = model
    keep = frozenset(data.draw(st.sets(st.integers(0, len(weights) - 1), max_size=2)))
    budget = int(sum(each.nbytes for each in weights) * share)
    options = {"order": order, "io_threads": threads, "in_place": in_place, "keep_resident": keep}
    try:
        plan = make_plan(weights, budget_bytes=budget, **options)
    except BudgetTooSmall as error:
        least = error.least_bytes
        plan = make_plan(weights, budget_bytes=least, **options)
        assert least > budget, "what was refused is more than what works"
    check_plan(plan, weights, order)
    assert all(piece.index in plan.resident for index in keep for piece in plan.pieces_of[index])


@given(model=models(), share=st.floats(0.2, 0.9), seed=st.integers(0, 1 << 20), data=st.data())
@settings(deadline=None, max_examples=100)
def test_weights_used_together_find_place_whatever_is_there_already(model, share, seed, data):
    weights, order = model
    assume(len(weights) > 1)
    group = data.draw(
        st.lists(st.sampled_from(weights), min_size=2, max_size=5, unique_by=lambda each: each.index)
    )
    group = [each.index for each in group if each.use is not Use.GATHER]
    assume(len(group) > 1)
    budget = int(sum(each.nbytes for each in weights) * share)
    budget = max(budget, least_budget(weights, order=order, groups=[group]))
    plan = make_plan(weights, budget_bytes=budget, order=order, groups=[group])
    chance = random.Random(seed)
    machine = Residency(
        window_bytes=plan.window_bytes, footprints=plan.footprints, order=plan.order, lookahead=None
    )
    pending = [fetch.ticket for fetch in machine.start()]

    def settle(fetches):
        pending.extend(fetch.ticket for fetch in fetches)
        while pending:
            ticket = pending.pop(chance.randrange(len(pending)))
            pending.extend(fetch.ticket for fetch in machine.loaded(ticket))

    def use(piece):
        ticket, fetches = machine.need(piece)
        settle(fetches)
        assert ticket.state is State.READY
        machine.use(ticket)
        return ticket

    passing = [piece.index for piece in plan.pieces if piece.index not in plan.resident]
    passing = [index for index in passing if plan.pieces[index].weight.use is not Use.GATHER]
    for _ in range(6):
        for index in chance.sample(passing, min(2, len(passing))):
            settle(machine.release(use(index)))
        held = []
        wholes = [index for index in group if len(plan.pieces_of[index]) == 1]
        tiled = [index for index in group if len(plan.pieces_of[index]) > 1]
        for index in chance.sample(wholes, len(wholes)):
            piece = plan.pieces_of[index][0].index
            if piece not in plan.resident:
                held.append(use(piece))
        for index in tiled:
            for piece in plan.pieces_of[index]:
                if piece.index not in plan.resident:
                    settle(machine.release(use(piece.index)))
        chance.shuffle(held)
        for ticket in held:
            settle(machine.release(ticket))
