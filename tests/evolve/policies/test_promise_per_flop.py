"""What a candidate promises for its FLOPs, and of which it can say nothing."""

import dataclasses

import pytest

from outgrow import evolve
from outgrow.evolve.errors import NotExact, SiteRefused
from outgrow.evolve.measures.cost import Cost, measure_cost
from outgrow.evolve.measures.gain import measure_gains
from outgrow.evolve.operators import OPERATORS
from outgrow.evolve.policies.candidates import find_candidates
from outgrow.evolve.policies.policy import Candidate
from outgrow.evolve.policies.promise_per_flop import Score, score_candidates, scoring_flops
from tests.evolve.policies.situations import fingerprint, same, situation

EVERY = ("widen", "deepen", "prune")


def by_operator(scores, candidates):
    found = {}
    for score, one in zip(scores, candidates, strict=True):
        found.setdefault(one.operator, []).append(score)
    return found


def test_a_widening_is_worth_its_units_gain_over_what_they_cost():
    given = situation(steps=2)
    candidates = find_candidates(given, operators=("widen",), share=0.5)
    gains = measure_gains(
        given.model,
        evolve.sites(given.model, given.inputs.args[0]),
        given.training[:4],
        inputs=given.inputs,
        objective=given.objective,
        adaptive=True,
    )
    for score, one in zip(score_candidates(candidates, given), candidates, strict=True):
        assert one.arguments["by"] == 2
        expected = 2 * gains[one.site].value / one.cost.training_flops
        assert score == Score(per_flop=pytest.approx(expected, rel=1e-6))


def test_a_change_that_costs_next_to_nothing_is_no_wonder():
    given = situation(steps=2)
    (dear, *_) = find_candidates(given, operators=("widen",))
    free = dataclasses.replace(dear, cost=Cost(parameters=0, bytes=0, flops=0.0, training_flops=0.0))
    dear_score, free_score = score_candidates([dear, free], given)
    assert free_score.per_flop == pytest.approx(dear_score.per_flop * dear.cost.training_flops)


def test_scores_are_in_the_order_of_candidates_and_leave_everything_as_it_was():
    given = situation(steps=2)
    candidates = find_candidates(given, operators=EVERY)
    before = fingerprint(given)
    scores = score_candidates(candidates, given)
    assert same(before, fingerprint(given))
    assert [one.per_flop is None for one in scores] == [one.operator == "prune" for one in candidates]
    assert score_candidates(candidates[::-1], given) == scores[::-1]


def test_pruning_promises_nothing_and_no_gradient_is_computed_for_it(monkeypatch):
    given = situation(steps=2)
    candidates = find_candidates(given, operators=("prune",))

    def fail(model, batch):
        raise AssertionError("nobody asked for a gradient")

    scores = score_candidates(candidates, dataclasses.replace(given, objective=fail))
    assert set(scores) == {Score(per_flop=None, reason="pruning promises nothing to first order")}


def test_with_one_batch_nothing_can_be_said_of_any_operator():
    given = situation(steps=2)
    candidates = find_candidates(given, operators=EVERY)
    found = by_operator(score_candidates(candidates, given, batches=1), candidates)
    reason = "1 batches, and at least 2 are needed to tell a gradient from its noise"
    assert set(found["widen"]) == set(found["deepen"]) == {Score(per_flop=None, reason=reason)}


@pytest.mark.parametrize("error", [SiteRefused, NotExact])
def test_what_is_refused_when_it_is_tried_says_so_and_nothing_is_left_of_it(monkeypatch, error):
    given = situation(steps=2)
    candidates = find_candidates(given, operators=("deepen",))

    def refuse(model, site, **options):
        with_new = OPERATORS["widen"](model, "0", by=1, example_inputs=options["example_inputs"])
        raise error(f"{site} moved after {with_new.operator}", hint="none")

    monkeypatch.setitem(OPERATORS, "deepen", refuse)
    before = fingerprint(given)
    scores = score_candidates(candidates, given)
    assert same(before, fingerprint(given))
    assert [one.per_flop for one in scores] == [None] * len(candidates)
    assert [one.reason for one in scores] == [f"{one.site} moved after widen" for one in candidates]


def test_scoring_takes_one_pass_for_all_widenings_and_one_of_the_changed_model_for_each_other():
    given = situation()
    cost = measure_cost(given.model, given.inputs)
    more = Cost(parameters=0, bytes=0, flops=0.0, training_flops=100.0)
    one, other, deeper, less = (
        Candidate(operator=operator, site="0", cost=more)
        for operator in ("widen", "widen", "deepen", "prune")
    )
    step = cost.training_flops
    assert scoring_flops([], cost, 64) == 0
    assert scoring_flops([less], cost, 64) == 0
    assert scoring_flops([one, other], cost, 64) == 64 * step
    assert scoring_flops([one, deeper, deeper, less], cost, 64) == 64 * (3 * step + 200)
