"""What a program says about a value in the middle of a step, and what cannot be asked of a plan."""

import dataclasses

import pytest

from outgrow.errors import InputError
from outgrow.shard.planner.plan import make_plan
from outgrow.shard.planner.record import digest_of
from tests.shard.planner.linear_step import MM, S0, S1, P, R, linear_step

TURNED, GRADIENT = 2, 3
"""Values by the numbers of the steps that make them."""


@pytest.mark.parametrize("placement", [R, S0, P])
def test_a_value_is_made_as_it_is_pinned(placement):
    problem = dataclasses.replace(linear_step(), pinned_values={GRADIENT: placement})
    plans = [plan for plan in make_plan(problem) if plan.rows]
    assert plans
    for plan in plans:
        assert problem.rows[GRADIENT][plan.rows[GRADIENT]].outputs == (placement,)


def test_a_pin_that_no_row_gives_is_refused_with_those_that_are_possible():
    problem = dataclasses.replace(linear_step(), pinned_values={TURNED: P})
    with pytest.raises(InputError, match=rf"the value {TURNED} cannot be made as P\(sum\)") as refused:
        make_plan(problem)
    assert refused.value.hint == f"possible are {R}, {S0}, {S1}"


def test_a_batch_of_one_is_not_parallel_in_its_data():
    assert "data parallel" not in {plan.kind for plan in make_plan(linear_step(batch=1))}


def test_rows_that_are_shared_have_the_digest_of_equal_ones():
    again = tuple(row._replace() for row in MM)
    assert digest_of([MM, MM]) == digest_of([MM, again])
    assert digest_of([MM, MM]) != digest_of([MM, MM[::-1]])
    assert digest_of([MM, MM]) != digest_of([MM])
