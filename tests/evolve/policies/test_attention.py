import pytest
import torch
from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.batches import read_batch
from outgrow.evolve.example_inputs import call_form
from outgrow.evolve.policies.attention import AttentionPolicy
from outgrow.evolve.policies.attention_network import AttentionPolicyNetwork
from outgrow.evolve.policies.candidates import apply_candidate
from outgrow.evolve.policies.policy import Budget, Decision, Situation

OPERATORS = ("widen", "prune")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 4)
        self.second = nn.Linear(4, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, inputs):
        return self.head(self.second(self.first(inputs).relu()).relu())


def network(widen=0.0, prune=0.0):
    """One that prefers an operator whatever it sees."""
    torch.manual_seed(0)
    made = AttentionPolicyNetwork(8, 1, layer_dim=11, layer_actions=2, width=8, blocks=1)
    with torch.no_grad():
        made.layer_scores.bias.copy_(torch.tensor([widen, prune]))
        made.run_scores.bias.zero_()
    return made


def situation(model=None, **more):
    torch.manual_seed(1)
    batches = [read_batch((torch.randn(8, 6), torch.randint(3, (8,)))) for _ in range(3)]
    given = {
        "model": Net() if model is None else model,
        "inputs": call_form(torch.randn(2, 6)),
        "training": batches[:1],
        "validation": batches[1:],
        "budget": Budget(flops=1e6, spent=2e5),
    }
    return Situation(**{**given, **more})


@pytest.mark.parametrize(
    ("prefers", "operator", "argument"), [("widen", "widen", "by"), ("prune", "prune", "amount")]
)
def test_what_the_network_prefers_is_chosen_and_can_be_made(prefers, operator, argument):
    asked = situation()
    decision = AttentionPolicy(network(**{prefers: 20.0})).decide(asked)
    assert decision.candidate.operator == operator
    assert decision.candidate.site in ("first", "second")
    width = getattr(asked.model, decision.candidate.site).out_features
    assert decision.candidate.arguments[argument] == (width if operator == "widen" else width // 2)
    apply_candidate(decision.candidate, asked.model, asked.inputs)
    now = getattr(asked.model, decision.candidate.site).out_features
    assert now == (width * 2 if operator == "widen" else width // 2)


def test_nothing_is_done_where_nothing_pays():
    decision = AttentionPolicy(network(widen=-20.0, prune=-20.0)).decide(situation())
    assert decision.candidate is None
    assert "nothing" in decision.reason


def test_an_operator_that_is_not_allowed_is_never_chosen():
    decision = AttentionPolicy(network(prune=20.0), operators=("widen",)).decide(situation())
    assert decision.candidate is None or decision.candidate.operator == "widen"
    assert not any(label.startswith("prune") for label in decision.evidence["scores"])


def test_what_does_not_fit_the_budget_is_never_chosen():
    limited = situation(budget=Budget(flops=1e6, parameters=1))
    candidate = AttentionPolicy(network(widen=20.0)).decide(limited).candidate
    assert candidate is None or candidate.operator == "prune"


def test_a_frozen_layer_is_never_chosen():
    model = Net()
    model.second.requires_grad_(False)
    decision = AttentionPolicy(network(widen=20.0)).decide(situation(model))
    assert decision.candidate is None or decision.candidate.site == "first"


def test_the_model_and_the_random_state_are_left_as_they_were():
    policy, asked = AttentionPolicy(network(widen=20.0)), situation()
    asked.model.train()
    before = {name: tensor.clone() for name, tensor in asked.model.state_dict().items()}
    state = torch.get_rng_state()
    policy.decide(asked)
    assert torch.equal(torch.get_rng_state(), state)
    assert asked.model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in asked.model.state_dict().items())


def test_the_same_situation_gives_the_same_decision():
    policy = AttentionPolicy(network())
    assert policy.decide(situation()).evidence["scores"] == policy.decide(situation()).evidence["scores"]


def test_scores_depend_on_the_budget_and_on_what_came_before():
    policy = AttentionPolicy(network())
    asked = policy.decide(situation()).evidence["scores"]
    later = policy.decide(situation(budget=Budget(flops=1e6, spent=9e5))).evidence["scores"]
    before = Decision(candidate=None, reason="", evidence={"validation": 5.0})
    fallen = policy.decide(situation(history=(before,))).evidence["scores"]
    assert asked != later
    assert asked != fallen


def test_deciding_is_charged():
    decision = AttentionPolicy(network()).decide(situation())
    assert decision.flops > 0
    assert decision.seconds > 0


@pytest.mark.parametrize("missing", ["training", "validation"])
def test_missing_data_is_refused(missing):
    with pytest.raises(InputError, match="validation"):
        AttentionPolicy(network()).decide(situation(**{missing: ()}))


def test_untrained_operator_is_refused():
    with pytest.raises(InputError, match="not trained"):
        AttentionPolicy(network(), operators=("deepen",))


def test_shipped_policy_decides():
    assert isinstance(AttentionPolicy().decide(situation()), Decision)
