import dataclasses

import pytest
import torch
from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.batches import own_loss
from outgrow.evolve.errors import NotExact, SiteRefused
from outgrow.evolve.measures.cost import measure_cost
from outgrow.evolve.operators import OPERATORS
from outgrow.evolve.policies.candidates import apply_candidate, find_candidates
from outgrow.evolve.policies.policy import Budget, Candidate
from tests.evolve.policies.situations import fingerprint, perceptron, same, situation

EVERY = ("widen", "deepen", "prune")


def test_widening_is_by_a_share_and_at_least_one_unit():
    given = situation(perceptron(6, 16, 2, 3))
    found = {one.site: one.arguments["by"] for one in find_candidates(given, operators=("widen",))}
    assert found == {"0": 4, "2": 1}


def test_pruning_leaves_something():
    given = situation(perceptron(6, 8, 1, 3))
    found = {
        one.site: one.arguments["amount"] for one in find_candidates(given, operators=("prune",), share=0.9)
    }
    assert found == {"0": 7}


@pytest.mark.parametrize("operator", EVERY)
def test_candidates_can_be_made_and_cost_what_they_say(operator):
    given = situation(steps=3)
    before = measure_cost(given.model, given.inputs)
    candidates = find_candidates(given, operators=(operator,))
    assert candidates
    for candidate in candidates:
        given = situation(steps=3)
        edit = apply_candidate(candidate, given.model, given.inputs, followers=given.followers)
        assert edit.operator == operator
        change = measure_cost(given.model, given.inputs) - before
        assert dataclasses.asdict(change) == pytest.approx(dataclasses.asdict(candidate.cost))
        given.followers.optimizer.zero_grad()
        own_loss(given.model, given.training[0]).backward()
        given.followers.optimizer.step()


def test_looking_leaves_everything_as_it_was():
    given = situation(steps=3)
    before = fingerprint(given)
    find_candidates(given, operators=EVERY)
    assert same(before, fingerprint(given))


def test_a_limit_of_parameters_leaves_out_what_goes_beyond_it():
    given = situation(budget=Budget(parameters=63 + 8))
    assert sum(one.numel() for one in given.model.parameters()) == 63
    # One unit more in the first layer is 11 parameters, in the second 8.
    assert [one.site for one in find_candidates(given, operators=("widen",))] == ["2"]
    # Pruning fits into any limit.
    assert find_candidates(situation(budget=Budget(parameters=10)), operators=("prune",))


def test_nothing_is_begun_that_the_budget_cannot_train():
    given = situation()
    step = measure_cost(given.model, given.inputs).training_flops * 32
    assert find_candidates(situation(budget=Budget(flops=step * 20)), operators=("widen",))
    assert not find_candidates(situation(budget=Budget(flops=step * 10)), operators=("widen",))


@pytest.mark.parametrize("share", [0, -1, float("nan")])
def test_shares_that_cannot_be_are_refused(share):
    with pytest.raises(InputError, match="share"):
        find_candidates(situation(), share=share)


def test_unknown_operators_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="'widden'") as error:
        find_candidates(situation(), operators=("widden",))
    assert "widen" in error.value.hint
    given = situation()
    with pytest.raises(InputError, match="no operator"):
        apply_candidate(Candidate(operator="grow", site="0"), given.model, given.inputs)


def test_a_seed_makes_the_same_weights():
    models = []
    for _ in range(2):
        given = situation()
        candidate = Candidate(operator="widen", site="0", arguments={"by": 2})
        apply_candidate(candidate, given.model, given.inputs, seed=5)
        models.append(given.model)
    assert torch.equal(models[0][2].weight, models[1][2].weight)


@pytest.mark.parametrize("flops", [0, -1, float("nan")])
def test_budgets_that_cannot_be_are_refused(flops):
    with pytest.raises(InputError, match="budget"):
        Budget(flops=flops)


def test_budget_counts():
    assert Budget(flops=200, spent=50).share == 0.25
    assert Budget(flops=200, spent=50).left == 150
    assert Budget(flops=200, spent=500).share == 1
    assert Budget(flops=200, spent=500).left == 0
    assert Budget().share == 0


def test_behind_a_norm_a_site_grows_by_whole_copies():
    model = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 3))
    by_share = {}
    for share in (0.25, 1.0, 2.0):
        (one,) = find_candidates(situation(model), operators=("widen",), share=share)
        by_share[share] = one.arguments["by"]
    assert by_share == {0.25: 5, 1.0: 5, 2.0: 10}


def test_what_the_operator_refuses_is_no_candidate(monkeypatch):
    def refuse(model, site, *, example_inputs, optimizer, scheduler, ema):
        raise NotExact("moved", hint="none") if site == "0" else SiteRefused("refused", hint="none")

    monkeypatch.setitem(OPERATORS, "deepen", refuse)
    given = situation()
    before = fingerprint(given)
    assert find_candidates(given, operators=("deepen",)) == []
    assert same(before, fingerprint(given))
