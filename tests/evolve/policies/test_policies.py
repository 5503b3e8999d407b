import dataclasses
import json

import pytest

from outgrow.evolve.policies import POLICIES
from outgrow.evolve.policies.attention_file import SHIPPED
from outgrow.evolve.policies.candidates import apply_candidate
from outgrow.evolve.policies.policy import Budget, Decision
from tests.evolve.policies.situations import fingerprint, same, situation

NAMES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name == "attention" and not SHIPPED.exists(), reason="nobody has trained the learned policy"
        ),
    )
    for name in POLICIES
]


@pytest.mark.parametrize("name", NAMES)
def test_every_policy_decides_and_leaves_everything_as_it_was(name):
    given = situation(steps=3, training=20, budget=Budget(flops=1e12, spent=0.5e12))
    before = fingerprint(given)
    decision = POLICIES[name]().decide(given)
    assert isinstance(decision, Decision)
    assert same(before, fingerprint(given))
    assert decision.reason
    assert decision.flops >= 0
    assert decision.seconds > 0
    assert json.loads(json.dumps(decision.evidence, allow_nan=False)) == decision.evidence
    if decision.candidate is not None:
        apply_candidate(decision.candidate, given.model, given.inputs, followers=given.followers)


@pytest.mark.parametrize("name", NAMES)
def test_a_situation_with_a_seed_gives_the_same_decision_again(name):
    given = situation(steps=3, training=20, budget=Budget(flops=1e12, spent=0.5e12), seed=3)
    one, other = (POLICIES[name]().decide(given) for _ in range(2))
    assert dataclasses.replace(one, seconds=0) == dataclasses.replace(other, seconds=0)
