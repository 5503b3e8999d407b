import copy

import pytest
import torch

from outgrow.errors import InputError
from outgrow.evolve.policies.attention_learner import AttentionLearner, score
from outgrow.evolve.policies.attention_network import AttentionPolicyNetwork
from outgrow.evolve.policies.experience import Experience, ExperienceBuffer


def flat(seed=0, **more):
    torch.manual_seed(seed)
    return AttentionLearner(AttentionPolicyNetwork(4, 3, width=16, blocks=1), **more)


def going_on(reward=0.5):
    return Experience(torch.ones(4), 1, reward, torch.zeros(4), False)


def test_goal_at_the_end_is_the_reward_alone():
    assert flat().goals([Experience(torch.ones(4), 0, 0.7, None, True)]).tolist() == pytest.approx([0.7])


def test_goal_is_what_the_target_says_of_what_the_network_prefers():
    learner = flat(gamma=0.9)
    torch.manual_seed(5)
    learner.target = AttentionPolicyNetwork(4, 3, width=16, blocks=1)
    mine = score(learner.network, [torch.zeros(4)])[0][0]
    theirs = score(learner.target, [torch.zeros(4)])[0][0]
    assert mine.argmax() != theirs.argmax(), "the seeds must tell double DQN from the plain one"
    expected = 0.5 + 0.9 * float(theirs[mine.argmax()].detach())
    assert learner.goals([going_on()]).tolist() == pytest.approx([expected])


def test_target_matters():
    one, other = flat(), flat()
    with torch.no_grad():
        for parameter in other.target.parameters():
            parameter.mul_(2)
    for learner in (one, other):
        learner.update([going_on()])
    assert not torch.equal(one.network.value.weight, other.network.value.weight)


def test_target_follows_slowly_and_is_not_trained():
    learner = flat(polyak=0.1)
    before = copy.deepcopy(learner.target)
    learner.update([going_on()])
    for old, now, own in zip(
        before.parameters(), learner.target.parameters(), learner.network.parameters(), strict=True
    ):
        torch.testing.assert_close(now, old + 0.1 * (own - old))
        assert not now.requires_grad


def test_target_is_copied_every_few_steps():
    learner = flat(target_every=2)
    first = learner.target.value.weight.clone()
    learner.update([going_on()])
    assert torch.equal(learner.target.value.weight, first)
    learner.update([going_on()])
    assert torch.equal(learner.target.value.weight, learner.network.value.weight)


def test_masked_actions_have_no_say_in_the_goal(tmp_path):
    from tests.evolve.test_environment import read

    table = read(tmp_path)["made-up"]
    network = AttentionPolicyNetwork(8, 1, layer_dim=11, layer_actions=2)
    learner = AttentionLearner(network)
    state = table.state("2", seed=0)
    best = score(network, [state])[0].argmax()
    assert bool(state.mask[best])
    goal = learner.goals([Experience(table.state("", seed=0), 0, 0.0, state, False)])
    assert bool(torch.isfinite(goal).all())


def test_it_learns_which_of_three_actions_pays():
    generator = torch.Generator().manual_seed(0)
    buffer = ExperienceBuffer()
    for _ in range(60):
        state = torch.randn(4, generator=generator)
        best = 2 if state[0] > 0 else 1
        for action in range(3):
            buffer.add(state, action, float(action == best), None, True)
    learner = flat(lr=1e-2)
    losses = learner.train(buffer, 100, seed=1)
    assert losses[-1] < losses[0] / 4
    state = torch.randn(100, 4, generator=generator)
    chosen = learner.network(state)[0].argmax(1)
    assert (chosen == torch.where(state[:, 0] > 0, 2, 1)).float().mean() > 0.85


def test_a_seed_gives_the_same_weights_again():
    buffer = ExperienceBuffer()
    for number in range(40):
        buffer.add(torch.full((4,), number / 40), number % 3, number / 40, None, True)
    one, other = flat(), flat()
    assert one.train(buffer, 5, seed=3) == other.train(buffer, 5, seed=3)
    assert torch.equal(one.network.value.weight, other.network.value.weight)


def test_action_that_is_forbidden_is_refused(tmp_path):
    from tests.evolve.test_environment import read

    state = read(tmp_path)["made-up"].state("", seed=0)
    learner = AttentionLearner(AttentionPolicyNetwork(8, 1, layer_dim=11, layer_actions=2))
    before = learner.network.value.weight.clone()
    forbidden = int((~state.mask).nonzero()[0])
    with pytest.raises(InputError, match="forbids"):
        learner.update([Experience(state, forbidden, 1.0, None, True)])
    assert torch.equal(learner.network.value.weight, before)


@pytest.mark.parametrize("more", [{"gamma": 1.1}, {"polyak": 0.0}, {"target_every": 0}])
def test_settings_out_of_range_are_refused(more):
    with pytest.raises(InputError):
        flat(**more)
