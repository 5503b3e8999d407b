import collections
import dataclasses

import torch

from outgrow.evolve.policies import uniform
from outgrow.evolve.policies.policy import Budget
from outgrow.evolve.policies.uniform import Uniform
from tests.evolve.policies.situations import fingerprint, same, situation


def test_a_seed_decides():
    given = situation(steps=2)
    before = fingerprint(given)
    assert len({Uniform().decide(given).candidate.label for _ in range(3)}) == 1
    assert same(before, fingerprint(given))


def test_every_change_and_no_change_are_equally_likely(monkeypatch):
    given = situation()
    known = uniform.find_candidates(given, operators=("widen",), share=0.25)
    monkeypatch.setattr(uniform, "find_candidates", lambda *_, **__: known)
    policy = Uniform(operators=("widen",))
    found = collections.Counter(
        None if (one := policy.decide(dataclasses.replace(given, seed=seed)).candidate) is None else one.site
        for seed in range(300)
    )
    assert set(found) == {None, "0", "2"}
    assert min(found.values()) > 70


def test_nothing_to_change_is_no_change():
    decision = Uniform().decide(situation(torch.nn.Sequential(torch.nn.Linear(6, 3))))
    assert decision.candidate is None or decision.candidate.operator == "deepen"
    decision = Uniform().decide(situation(budget=Budget(flops=1)))
    assert decision.candidate is None
    assert decision.reason == "there is nothing to change"
