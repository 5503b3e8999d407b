import dataclasses
import json
import math

import pytest
import torch

from outgrow.errors import InputError
from outgrow.evolve.batches import read_batch
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.example_inputs import call_form
from outgrow.evolve.measures.cost import measure_cost
from outgrow.evolve.policies.candidates import find_candidates
from outgrow.evolve.policies.forks import ForkResult
from outgrow.evolve.policies.greedy import Greedy
from outgrow.evolve.policies.paired import price_of
from outgrow.evolve.policies.policy import Budget, Decision, Situation
from tests.evolve.policies.situations import fingerprint, perceptron, same, situation, train

STEADY = (0.9, 1.1, 1.0, 1.0)


class Known:
    """Forks whose outcome is known: by how much each site gains, and what it costs."""

    def __init__(self, gains, flops=None, noise=0.0):
        self.gains, self.flops, self.noise = gains, flops or {}, noise
        self.ran = []

    def __call__(self, situation):
        return self

    def judge(self):
        return STEADY

    def run(self, candidate, batches):
        self.ran.append((candidate, batches))
        site = None if candidate is None else candidate.site
        gain = self.gains.get(site, 0.0)
        losses = tuple(
            one - gain + (self.noise * (-1) ** place if site else 0) for place, one in enumerate(STEADY)
        )
        failure = "" if math.isfinite(gain) else "NotFinite: a value is NaN"
        return ForkResult(
            losses=losses, steps=4, flops=self.flops.get(site, 100.0), judging_flops=10.0, seconds=0.1,
            failure=failure,
        )  # fmt: skip


def decide(known: Known, given=None, **options) -> Decision:
    policy = Greedy(**{"operators": ("widen",), **options}, forks=known)
    return policy.decide(given or situation(steps=2))


def arms(decision: Decision) -> dict[str, dict]:
    return {one["site"]: one for one in decision.evidence["arms"]}


def test_the_largest_sure_gain_per_flop_is_made():
    known = Known({"0": 0.3, "2": 0.2}, flops={"0": 400.0, "2": 100.0})
    decision = decide(known)
    assert decision.candidate.site == "2"
    assert arms(decision)["2"]["per_flop"] == pytest.approx(0.002)
    assert arms(decision)["0"]["per_flop"] == pytest.approx(0.3 / 400)
    assert decision.reason.startswith("loss 0.2000 below that without change")


def test_no_change_scores_exactly_zero_and_wins_ties():
    decision = decide(Known({}))
    assert decision.candidate is None
    nothing = arms(decision)[""]
    assert nothing["improvement"] == nothing["lower"] == nothing["per_flop"] == 0.0


@pytest.mark.parametrize("gain", [-0.5, 0.01])
def test_what_is_not_surely_better_is_not_made(gain):
    """A gain of .01 with a spread of .1 over four batches is nothing."""
    decision = decide(Known({"0": gain, "2": gain}, noise=0.1))
    assert decision.candidate is None
    assert decision.reason.startswith("none of 2 changes is surely better")
    assert decide(Known({"0": 0.3}, noise=0.1)).candidate.site == "0"


def test_arms_that_fail_are_never_made():
    decision = decide(Known({"0": math.nan, "2": 0.1}))
    assert decision.candidate.site == "2"
    assert arms(decision)["0"]["lower"] is None
    assert arms(decision)["0"]["failure"]
    decision = decide(Known({"0": math.nan, "2": math.nan}))
    assert decision.candidate is None
    assert "every change that was tried failed" in decision.reason


def test_everything_that_deciding_took_is_charged():
    known = Known({})
    given = situation(steps=2)
    decision = decide(known, given)
    cost = measure_cost(given.model, given.inputs)
    scoring, judging = cost.training_flops * 32 * 4, cost.flops * 6 * 64
    assert decision.flops == pytest.approx(3 * 110 + scoring + judging)
    assert decision.seconds > 0


def test_every_arm_trains_on_the_same_batches():
    known = Known({})
    given = situation(steps=2)
    decide(known, given, steps=6)
    assert [one[0] is None for one in known.ran] == [True, False, False]
    assert all(batches == given.training[:6] for _, batches in known.ran)


def test_flops_that_a_change_costs_are_taken_off_at_the_price_of_the_end():
    """While training falls by .4, a gain of .05 is not worth a model twice as expensive."""

    class Falling(Known):
        def judge(self):
            return tuple(one + 0.4 for one in STEADY)

    given = situation(steps=2)
    cost = measure_cost(given.model, given.inputs).training_flops
    (one,) = find_candidates(given, operators=("widen",), share=1.0)[:1]
    ratio = 1 + one.cost.training_flops / cost
    for share, looks_ahead in ((0.2, True), (0.2, False), (0.9, True)):
        budget = Budget(flops=1e15, spent=share * 1e15)
        known = Falling({one.site: 0.05})
        decision = decide(
            known, dataclasses.replace(given, budget=budget), share=1.0, looks_ahead=looks_ahead
        )
        price = price_of(ratio, share) if looks_ahead else ratio
        assert arms(decision)[one.site]["improvement"] == pytest.approx(0.05 - (price - 1) * 0.4)
        assert decision.candidate is None
    known = Falling({one.site: 0.4})
    assert decide(known, dataclasses.replace(given, budget=budget), share=1.0).candidate.site == one.site


def test_repeats_are_on_batches_of_their_own():
    known = Known({})
    given = situation(steps=2)
    decision = decide(known, given, steps=5, repeats=2, tried=1)
    firsts = [given.training.index(one[1][0]) for one in known.ran]
    assert firsts == [0, 5, 0, 5]
    assert arms(decision)[""]["flops"] == 220


@pytest.mark.parametrize("factor", [1, 1.1, 1.5, 3])
def test_a_decision_takes_no_more_than_its_part_of_the_budget(factor):
    given = situation(steps=2)
    cost = measure_cost(given.model, given.inputs)
    step, judging = cost.training_flops * 32, cost.flops * 6 * 64
    # Eight steps of three arms, four times judging; and four batches of scores.
    least = 3 * 8 * step + 4 * judging
    given = dataclasses.replace(given, budget=Budget(flops=factor * (least + 4 * step) / 0.03 + 1))
    decision = Greedy(operators=("widen",), tried=2, steps=100).decide(given)
    assert 8 <= decision.evidence["steps"] <= len(given.training)
    # Steps are counted as those of the model without change; the others take a little more.
    assert decision.flops <= 0.03 * given.budget.left * 1.3


def test_less_than_eight_steps_are_not_worth_trying():
    given = situation(steps=2)
    cost = measure_cost(given.model, given.inputs)
    flops = (3 * 7.9 * cost.training_flops * 32 + 4 * cost.flops * 6 * 64) / 0.03
    known = Known({"0": 1.0})
    decision = decide(known, dataclasses.replace(given, budget=Budget(flops=flops)), tried=2)
    assert decision.candidate is None
    assert decision.reason == "too little is left to try anything for 3% of it"
    assert not known.ran


def test_evidence_is_json():
    decision = decide(Known({"0": math.nan}))
    assert json.loads(json.dumps(decision.evidence, allow_nan=False)) == decision.evidence


def test_the_best_of_each_operator_is_tried_first():
    known = Known({})
    given = situation(perceptron(6, 4, 4, 4, 3), steps=2)
    decision = decide(known, given, operators=("widen", "deepen"), tried=2)
    assert {one["operator"] for one in decision.evidence["arms"]} == {"", "widen", "deepen"}
    scores = decision.evidence["scores"]
    tried = next(one["label"] for one in decision.evidence["arms"] if one["operator"] == "widen")
    assert scores[tried] == max(score for label, score in scores.items() if label.startswith("widen"))


def test_thompson_learns_what_never_pays():
    lost = {"arms": [{"operator": "widen", "site": "0", "lower": -0.1}] * 30}
    won = {"arms": [{"operator": "widen", "site": "2", "lower": 0.1}] * 30}
    history = (
        Decision(candidate=None, reason="", evidence=lost),
        Decision(candidate=None, reason="", evidence=won),
    )
    tried = []
    for seed in range(6):
        known = Known({})
        given = situation(steps=2, history=history)
        decide(known, dataclasses.replace(given, seed=seed), tried=1, thompson=True)
        tried.append(known.ran[1][0].site)
    assert set(tried) == {"2"}


def test_thompson_tries_what_is_not_the_best_now_and_then():
    tried = set()
    for seed in range(12):
        known = Known({})
        decide(known, dataclasses.replace(situation(steps=2), seed=seed), tried=1, thompson=True)
        tried.add(known.ran[1][0].site)
    assert tried == {"0", "2"}


def test_thompson_takes_the_odds_for_even_where_nothing_is_scored():
    """Pruning has no score; what is known of it is how often it won, and no change is nobody's win."""
    even = {"arms": [{"operator": None, "site": None, "lower": 0.5}] * 30}
    history = (Decision(candidate=None, reason="", evidence=even),)
    tried = []
    for some in ((), history):
        for seed in range(6):
            known, given = Known({}), dataclasses.replace(situation(steps=2, history=some), seed=seed)
            decide(known, given, operators=("prune",), tried=1, thompson=True)
            tried.append(known.ran[1][0].site)
    assert tried[:6] == tried[6:]
    assert set(tried) == {"0", "2"}


def test_where_even_scoring_is_too_dear_nothing_is_tried():
    """A quarter of 3 % of what is left has to pay for two batches of scores."""
    known, given = Known({"0": 1.0}), situation(steps=2)
    step = measure_cost(given.model, given.inputs).training_flops * 32
    given = dataclasses.replace(given, budget=Budget(flops=100 * step))
    assert find_candidates(given, operators=("widen",))
    decision = decide(known, given)
    assert decision.candidate is None
    assert decision.reason == "too little is left to try anything for 3% of it"
    assert not known.ran


def test_too_little_to_compare_on_is_refused():
    given = situation()
    for short in ({"validation": given.validation[:1]}, {"training": given.training[:1]}):
        with pytest.raises(InputError, match="batches"):
            decide(Known({}), dataclasses.replace(given, **short))


@pytest.mark.parametrize(
    "options", [{"tried": 0}, {"steps": 0}, {"repeats": 0}, {"confidence": 1}, {"spend": 0}]
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(InputError):
        Greedy(**options)


def test_a_bottleneck_is_widened():
    """Two units cannot tell eight classes apart: at that plateau more of them are worth their FLOPs."""
    generator = torch.Generator().manual_seed(0)

    def batches(count: int, size: int):
        for _ in range(count):
            points = torch.rand(size, 8, generator=generator)
            yield read_batch((points, points.argmax(1)))

    model = perceptron(8, 2, 8)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    train(model, optimizer, list(batches(600, 32)))
    given = Situation(
        model=model,
        inputs=call_form(torch.rand(2, 8, generator=generator)),
        training=list(batches(60, 32)),
        validation=list(batches(6, 128)),
        followers=Followers(optimizer=optimizer),
    )
    before = fingerprint(given)
    decision = Greedy(operators=("widen",), share=2.0, steps=60).decide(given)
    assert same(before, fingerprint(given))
    assert decision.candidate is not None, decision.reason
    assert decision.candidate.label == "widen 0 by=4"


def test_nothing_is_grown_where_there_is_nothing_to_learn():
    given = situation(steps=100, is_noise=True, training=20)
    decision = Greedy(operators=("widen",), steps=12).decide(given)
    assert decision.candidate is None


def test_the_same_situation_gives_the_same_decision():
    given = situation(steps=5)
    one, other = (Greedy(steps=4).decide(given) for _ in range(2))
    assert one.evidence == other.evidence
