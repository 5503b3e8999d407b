import dataclasses
import math

import pytest
import torch

from outgrow.errors import InputError
from outgrow.evolve.batches import own_loss
from outgrow.evolve.followers import Followers
from outgrow.evolve.measures.cost import measure_cost
from outgrow.evolve.policies.candidates import find_candidates
from outgrow.evolve.policies.forks import Forks, judge
from outgrow.evolve.policies.policy import Candidate
from tests.evolve.policies.situations import fingerprint, same, situation, train


def step_flops(given) -> float:
    return measure_cost(given.model, given.inputs).training_flops * 32


def test_a_fork_without_change_is_what_training_would_have_been():
    given = situation(steps=5)
    result = Forks(given).run(None, given.training, flops=4 * step_flops(given))
    assert result.steps == 4
    assert result.flops == pytest.approx(4 * step_flops(given))
    train(given.model, given.followers.optimizer, given.training[:4])
    assert result.losses == judge(given.model, given.validation, own_loss)


@pytest.mark.parametrize("operator", [None, "widen", "deepen", "prune"])
def test_forks_leave_everything_as_it_was_and_give_the_same_again(operator):
    given = situation(steps=5)
    candidate = find_candidates(given, operators=(operator,))[0] if operator else None
    before = fingerprint(given)
    forks = Forks(given)
    one = forks.run(candidate, given.training, flops=3 * step_flops(given))
    assert same(before, fingerprint(given))
    other = forks.run(candidate, given.training, flops=3 * step_flops(given))
    assert one.losses == other.losses
    assert same(before, fingerprint(given))


def test_every_arm_spends_the_same_on_the_same_batches():
    seen: list[torch.Tensor] = []

    def objective(model, batch):
        if model.training:
            seen.append(batch.inputs.args[0])
        return own_loss(model, batch)

    given = situation(objective=objective, training=30)
    candidate = find_candidates(given, operators=("widen",), share=1.0)[0]
    flops = 20 * step_flops(given)
    plain = Forks(given).run(None, given.training, flops=flops)
    first, seen[:] = list(seen), []
    grown = Forks(given).run(candidate, given.training, flops=flops)
    assert plain.steps == 20 > grown.steps
    assert grown.flops == pytest.approx(plain.flops, rel=0.05)
    assert all(one is other for one, other in zip(seen, first, strict=False))
    assert grown.judging_flops > plain.judging_flops > 0


def test_a_smaller_model_makes_no_more_steps_than_there_are_batches():
    given = situation()
    candidate = find_candidates(given, operators=("prune",), share=0.5)[0]
    assert Forks(given).run(candidate, given.training, flops=math.inf).steps == len(given.training)


def test_an_arm_that_fails_says_so_and_leaves_no_trace():
    given = situation(steps=2)
    before = fingerprint(given)
    missing = Candidate(operator="widen", site="nowhere", arguments={"by": 1})
    result = Forks(given).run(missing, given.training, flops=1e9)
    assert all(math.isnan(one) for one in result.losses)
    assert "SiteNotFound" in result.failure
    assert same(before, fingerprint(given))


def test_an_arm_whose_loss_is_no_number_fails():
    given = situation(objective=lambda model, batch: own_loss(model, batch) * math.nan)
    result = Forks(given).run(None, given.training, flops=1e9)
    assert result.failure
    assert all(math.isnan(one) for one in result.losses)


def test_interrupts_pass_through_and_leave_no_trace():
    def objective(model, batch):
        if model.training and batch is given.training[2]:
            raise KeyboardInterrupt
        return own_loss(model, batch)

    given = situation(steps=2)
    given = dataclasses.replace(given, objective=objective)
    before = fingerprint(given)
    with pytest.raises(KeyboardInterrupt):
        Forks(given).run(None, given.training, flops=math.inf)
    assert same(before, fingerprint(given))


def test_without_an_optimizer_nothing_can_be_tried():
    given = dataclasses.replace(situation(), followers=Followers())
    with pytest.raises(InputError, match="no optimizer"):
        Forks(given)
