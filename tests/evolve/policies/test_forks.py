import dataclasses
import math

import pytest
import torch

from outgrow.errors import InputError
from outgrow.evolve.batches import own_loss
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.measures.cost import measure_cost
from outgrow.evolve.policies.candidates import find_candidates
from outgrow.evolve.policies.forks import Forks, judge
from outgrow.evolve.policies.policy import Candidate
from tests.evolve.policies.situations import fingerprint, same, situation, train


def step_flops(given) -> float:
    return measure_cost(given.model, given.inputs).training_flops * 32


def test_a_fork_without_change_is_what_training_would_have_been():
    given = situation(steps=5)
    result = Forks(given).run(None, given.training[:4])
    assert result.steps == 4
    assert result.flops == pytest.approx(4 * step_flops(given))
    assert result.judging_flops == pytest.approx(measure_cost(given.model, given.inputs).flops * 6 * 64)
    assert Forks(given).judge() == judge(given.model, given.validation, own_loss)
    train(given.model, given.followers.optimizer, given.training[:4])
    assert result.losses == judge(given.model, given.validation, own_loss)


@pytest.mark.parametrize("operator", [None, "widen", "deepen", "prune"])
def test_forks_leave_everything_as_it_was_and_give_the_same_again(operator):
    given = situation(steps=5)
    candidate = find_candidates(given, operators=(operator,))[0] if operator else None
    before = fingerprint(given)
    forks = Forks(given)
    one = forks.run(candidate, given.training[:3])
    assert same(before, fingerprint(given))
    other = forks.run(candidate, given.training[:3])
    assert one.losses == other.losses
    assert same(before, fingerprint(given))


def test_every_arm_sees_the_same_batches_and_random_numbers():
    seen: list[tuple[torch.Tensor, float]] = []

    def objective(model, batch):
        if model.training:
            seen.append((batch.inputs.args[0], torch.rand(1).item()))
        return own_loss(model, batch)

    given = situation(objective=objective, training=8)
    candidate = find_candidates(given, operators=("widen",), share=1.0)[0]
    plain = Forks(given).run(None, given.training)
    first, seen[:] = list(seen), []
    grown = Forks(given).run(candidate, given.training)
    assert len(first) == len(seen) == 8
    assert all(one[0] is other[0] and one[1] == other[1] for one, other in zip(seen, first, strict=True))
    assert grown.flops > plain.flops
    assert grown.judging_flops > plain.judging_flops > 0


def test_an_arm_that_fails_says_so_and_leaves_no_trace():
    given = situation(steps=2)
    before = fingerprint(given)
    missing = Candidate(operator="widen", site="nowhere", arguments={"by": 1})
    result = Forks(given).run(missing, given.training)
    assert all(math.isnan(one) for one in result.losses)
    assert "SiteNotFound" in result.failure
    assert same(before, fingerprint(given))


def test_an_arm_whose_loss_is_no_number_fails():
    given = situation(objective=lambda model, batch: own_loss(model, batch) * math.nan)
    result = Forks(given).run(None, given.training)
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
        Forks(given).run(None, given.training)
    assert same(before, fingerprint(given))


def test_without_an_optimizer_nothing_can_be_tried():
    given = dataclasses.replace(situation(), followers=Followers())
    with pytest.raises(InputError, match="no optimizer"):
        Forks(given)
