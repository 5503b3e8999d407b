import dataclasses
import json

import pytest
import torch
from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.batches import read_batch
from outgrow.evolve.policies.expand_with_mi import ExpandWithMI
from outgrow.evolve.policies.policy import Budget
from tests.evolve.policies.situations import fingerprint, same, situation


def planted(*, doubled: bool, is_useful: bool = True, samples: int = 512):
    """Labels that the first layer's channels tell; optionally each channel five times."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Identity(), nn.Linear(5, 3))
    with torch.no_grad():
        weight = torch.randn(5, 6, generator=generator)
        model[0].weight.copy_(weight[:1].expand(5, 6) if doubled else torch.eye(5, 6) + 0.1 * weight)
    points = torch.randn(samples, 6, generator=generator)
    told = points @ model[0].weight.detach().T if is_useful else torch.randn(samples, 5, generator=generator)
    labels = (told[:, 0] > 0).long()
    batches = [read_batch(pair) for pair in zip(points.split(64), labels.split(64), strict=True)]
    return dataclasses.replace(situation(model), training=batches)


def test_what_tells_much_and_repeats_nothing_is_widened():
    given = planted(doubled=False)
    before = fingerprint(given)
    decision = ExpandWithMI().decide(given)
    assert same(before, fingerprint(given))
    assert decision.candidate.operator == "widen"
    assert decision.candidate.site == "0"
    (site,) = decision.evidence["sites"]
    assert site["relevance"] > 0.6
    assert site["redundancy"] < 0.7
    assert decision.candidate.arguments["by"] == max(1, round(5 * 0.5 * (1 - site["redundancy"])))
    assert decision.reason == site["reason"]
    assert json.loads(json.dumps(decision.evidence)) == decision.evidence
    assert decision.flops > 0


def test_what_repeats_itself_is_not():
    decision = ExpandWithMI().decide(planted(doubled=True))
    assert decision.candidate is None
    (site,) = decision.evidence["sites"]
    assert site["redundancy"] > 0.95
    assert site["reason"].endswith("it repeats itself")


def test_what_tells_nothing_is_not():
    decision = ExpandWithMI().decide(planted(doubled=False, is_useful=False))
    assert decision.candidate is None
    assert "too little is told" in decision.evidence["sites"][0]["reason"]


def test_no_random_number_is_drawn_and_no_seed_looked_at():
    given = planted(doubled=False)
    one = ExpandWithMI().decide(given)
    torch.rand(5)
    other = ExpandWithMI().decide(dataclasses.replace(given, seed=99))
    assert one.candidate == other.candidate
    assert one.evidence == other.evidence


def test_what_does_not_fit_the_budget_is_left_out():
    given = dataclasses.replace(planted(doubled=False), budget=Budget(parameters=54))
    assert ExpandWithMI().decide(given).candidate is None


def test_without_labels_nothing_is_known():
    given = planted(doubled=False)
    blind = [read_batch(batch.inputs.args[0]) for batch in given.training]
    decision = ExpandWithMI().decide(dataclasses.replace(given, training=blind))
    assert decision.candidate is None
    assert decision.evidence["sites"][0]["reason"] == "the batches have no labels"


def test_few_samples_make_it_abstain():
    decision = ExpandWithMI().decide(planted(doubled=False, samples=16))
    assert "at least 32" in decision.evidence["sites"][0]["reason"]


def test_every_site_is_measured_on_request():
    assert [one.site for one in ExpandWithMI().measure(planted(doubled=False))] == ["0"]


@pytest.mark.parametrize(
    "options", [{"share": 0}, {"least_relevance": 1}, {"most_redundancy": 0}, {"samples": 3}]
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(InputError):
        ExpandWithMI(**options)


def test_without_batches_it_cannot_measure():
    with pytest.raises(InputError, match="no batch"):
        ExpandWithMI().decide(dataclasses.replace(situation(), training=()))


def test_a_site_between_layers_of_nobodys_kind_is_said_to_be_unseen():
    class Product(nn.Module):
        def __init__(self, before, after):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(before, after))

        def forward(self, values):
            return values @ self.weight

    model = nn.Sequential(Product(6, 5), nn.ReLU(), Product(5, 3))
    decision = ExpandWithMI().decide(situation(model))
    assert decision.candidate is None
    assert decision.reason == "no site tells much and repeats itself little"
    (site,) = decision.evidence["sites"]
    assert (site["site"], site["score"]) == ("0", 0.0)
    assert site["reason"] == "its activations cannot be seen"
    assert [site[name] for name in ("relevance", "relevance_error", "redundancy")] == [None] * 3
