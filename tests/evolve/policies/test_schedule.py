import dataclasses

import pytest

from outgrow.errors import InputError
from outgrow.evolve.errors import SiteNotFound
from outgrow.evolve.policies.candidates import apply_candidate
from outgrow.evolve.policies.policy import Budget, Decision
from outgrow.evolve.policies.schedule import Growth, Schedule
from tests.evolve.policies.situations import situation


def run(policy: Schedule, shares: list[float], **more) -> list[Decision]:
    """Decide at each share of the budget, and make what is decided."""
    given = situation(**more)
    for share in shares:
        budget = dataclasses.replace(given.budget, flops=1e9, spent=share * 1e9)
        given = dataclasses.replace(given, budget=budget)
        decision = policy.decide(given)
        if decision.candidate is not None:
            apply_candidate(decision.candidate, given.model, given.inputs, followers=given.followers)
        given = dataclasses.replace(given, history=(*given.history, decision))
    return list(given.history)


def labels(decisions: list[Decision]) -> list[str | None]:
    return [None if one.candidate is None else one.candidate.label for one in decisions]


def test_changes_come_when_they_are_due_one_a_decision():
    policy = Schedule([Growth(at=0.5, site="2", share=0.5), Growth(at=0.2)])
    decisions = run(policy, [0.0, 0.2, 0.25, 0.3, 0.6, 0.7])
    assert labels(decisions) == [None, "widen 0 by=4", "widen 2 by=4", None, "widen 2 by=4", None]
    assert decisions[0].reason == "the next change is due at 20%"
    assert decisions[1].reason == "due at 20% of the budget"
    assert decisions[-1].reason == "the schedule is through"


def test_what_was_missed_is_made_up_for():
    assert labels(run(Schedule([Growth(at=0.1)]), [0.9, 0.95, 1.0])) == ["widen 0 by=4", "widen 2 by=4", None]


def test_layers_that_it_inserts_itself_are_not_changed_again():
    policy = Schedule([Growth(at=0.1, operator="deepen", site="1"), Growth(at=0.2, operator="deepen")])
    decisions = run(policy, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    there = decisions[1].evidence["sites"]
    # Each of those that were there when the second line began, once, however many it brings.
    assert labels(decisions[1:]) == [f"deepen {site}" for site in there] + [None] * (5 - len(there))
    assert 1 < len(there) < 5


def test_arguments_of_the_operators_own():
    assert labels(run(Schedule([Growth(at=0, site="0", arguments={"by": 3})]), [0.1])) == ["widen 0 by=3"]


def test_what_does_not_fit_is_left_out_and_said():
    decisions = run(Schedule([Growth(at=0, site="0")]), [0.1, 0.2], budget=Budget(parameters=70))
    assert labels(decisions) == [None, None]
    assert decisions[0].reason == "due at 0% of the budget, but it does not fit into 70 parameters"
    assert decisions[1].reason == "the schedule is through"


def test_nothing_is_pruned_away():
    decisions = run(Schedule([Growth(at=0, operator="prune", site="0")]), [0.1])
    assert labels(decisions) == [None]
    assert "nothing of 0 would be left" in decisions[0].reason


def test_unknown_sites_are_refused_with_the_nearest():
    with pytest.raises(SiteNotFound, match="'22'"):
        run(Schedule([Growth(at=0, site="22")]), [0.1])


@pytest.mark.parametrize("given", [{"at": -0.1}, {"at": 1.1}, {"at": 0.5, "share": 0}])
def test_lines_that_cannot_be_are_refused(given):
    with pytest.raises(InputError):
        Growth(**given)


def test_the_default_doubles_every_site():
    assert labels(run(Schedule(), [0.1, 0.2, 0.2, 0.2])) == [None, "widen 0 by=4", "widen 2 by=4", None]
