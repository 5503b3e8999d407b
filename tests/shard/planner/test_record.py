"""A plan read from its JSON is the plan."""

import json

import pytest

from outgrow.errors import InputError
from outgrow.shard.planner.plan import make_plan, plan_from_json, plan_to_json
from tests.shard.planner.linear_step import linear_step


def test_plans_survive_json():
    problem = linear_step()
    for plan in make_plan(problem):
        text = json.dumps(plan_to_json(plan, problem.rows))
        # Rows made anew: their identity must not matter.
        again = tuple(tuple(row._replace() for row in rows) for rows in problem.rows)
        assert plan_from_json(json.loads(text), again) == plan


def test_a_plan_for_other_rows_is_refused():
    problem = linear_step()
    record = plan_to_json(make_plan(problem)[0], problem.rows)
    other = (problem.rows[0][::-1], *problem.rows[1:])
    with pytest.raises(InputError, match="rules have changed"):
        plan_from_json(record, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"format": 0}, "another version"), ({"rows": [99, 0, 0, 0, 0]}, "damaged"), ({"rows": [0]}, "damaged")],
)
def test_a_damaged_record_is_refused(change, message):
    problem = linear_step()
    record = plan_to_json(make_plan(problem)[0], problem.rows) | change
    with pytest.raises(InputError, match=message):
        plan_from_json(record, problem.rows)
