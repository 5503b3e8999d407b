import collections

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.evolve.batches import read_batch
from outgrow.evolve.errors import SiteNotFound
from outgrow.evolve.example_inputs import call_form
from outgrow.evolve.measures.activations import site_activations


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(54, 12), nn.ReLU(), nn.Linear(12, 10),
    )  # fmt: skip


@pytest.fixture
def pictures():
    return torch.randn(5, 1, 8, 8)


def seen(model, example, batches, **more):
    inputs = call_form(example)
    return site_activations(model, evolve.sites(model, example), batches, inputs=inputs, **more)


def test_units_are_seen_where_the_next_layer_reads_them(pictures):
    model = convolutional()
    batches = [read_batch((pictures, torch.arange(5)))] * 2
    found = seen(model, pictures, batches)
    model.eval()
    assert torch.equal(found["0"].values[:5], model[:3](pictures).flatten(2).transpose(1, 2))
    # Behind pooling and flattening: nine places of each of six channels.
    assert torch.equal(found["3"].values[:5], model[:6](pictures).flatten(2).transpose(1, 2))
    assert torch.equal(found["7"].values[:5, 0], model[:9](pictures))
    assert [one.values.shape[0] for one in found.values()] == [10] * 3
    assert found["0"].targets.tolist() == [0, 1, 2, 3, 4] * 2


def test_looking_leaves_the_model_as_it_was(pictures):
    model = convolutional()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    seen(model, pictures, [read_batch((pictures, torch.arange(5)))])
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert model.training
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in model.modules())


def test_concatenated_units_are_told_apart():
    class Forked(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.last = nn.Linear(3, 2), nn.Linear(3, 4), nn.Linear(6, 2)

        def forward(self, values):
            return self.last(torch.cat([self.one(values).relu(), self.two(values).tanh()], 1))

    model, values = Forked(), torch.randn(7, 3)
    found = seen(model, values, [read_batch(values)])
    assert torch.equal(found["one"].pooled, model.one(values).relu())
    assert torch.equal(found["two"].pooled, model.two(values).tanh())
    assert found["one"].labelled() is None


def test_tokens_have_labels_of_their_own():
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    values, labels = torch.randn(4, 5, 3), torch.randint(2, (4, 5))
    labels[0, :3] = -100
    found = seen(model, values, [read_batch((values, labels))])["0"]
    features, targets = found.labelled()
    assert features.shape == (17, 8)
    assert torch.equal(features[:2], model[:2](values)[0, 3:])
    assert targets.tolist() == labels.flatten()[3:].tolist()


def test_texts_of_several_lengths_are_cut_to_the_shortest():
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    batches = [read_batch((torch.randn(2, size, 3), torch.zeros(2, size).long())) for size in (7, 4)]
    found = seen(model, torch.randn(1, 4, 3), batches)["0"]
    assert found.values.shape == (4, 4, 8)
    assert found.targets.shape == (4, 4)


def test_no_more_samples_are_looked_at_than_asked_for(pictures):
    drawn = collections.Counter()

    def batches():
        for _ in range(10):
            drawn["batches"] += 1
            yield read_batch((pictures, torch.arange(5)))

    found = seen(convolutional(), pictures, batches(), most=8)
    assert found["0"].values.shape[0] == 8
    assert drawn["batches"] == 3


def test_rows_are_spread_over_samples_and_positions(pictures):
    found = seen(convolutional(), pictures, [read_batch((pictures, torch.arange(5)))])["0"]
    rows = found.rows(20)
    assert rows.shape == (20, 4)
    everything = {tuple(one) for one in found.values.flatten(0, 1).tolist()}
    assert len({tuple(one) for one in rows.tolist()} & everything) > 15
    assert found.pooled.shape == (5, 4)


def test_heads_of_a_transformer_are_seen():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_layer=1, n_head=4, n_embd=32, vocab_size=64, n_positions=32, bos_token_id=0, eos_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config)
    inputs = {"input_ids": torch.randint(64, (2, 16))}
    found = seen(model, inputs, [read_batch(inputs)])
    # Queries, keys and values of a head are one site; the next layer reads the eight channels of its result.
    assert found["transformer.h.0.attn.c_attn"].values.shape == (2, 16, 32)
    assert found["transformer.h.0.mlp.c_fc"].values.shape == (2, 16, 128)


def test_sites_of_another_model_are_refused(pictures):
    model = convolutional()
    sites = evolve.sites(model, pictures)
    evolve.widen(model, "0", by=1, example_inputs=pictures)
    with pytest.raises(SiteNotFound, match="no longer there"):
        site_activations(model, sites, [read_batch(pictures)], inputs=call_form(pictures))


class Product(nn.Module):
    """A layer that is none of torch's: nobody knows which of its dims are channels."""

    def __init__(self, before, after):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(before, after))

    def forward(self, values):
        return values @ self.weight


def test_units_that_no_known_layer_reads_are_seen_where_they_are_made():
    model, values = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), Product(5, 2)), torch.randn(7, 3)
    found = seen(model, values, [read_batch(values)])
    assert torch.equal(found["0"].pooled, model[0](values))


def test_units_between_unknown_layers_are_not_seen():
    model, values = nn.Sequential(Product(3, 5), nn.ReLU(), Product(5, 2)), torch.randn(7, 3)
    assert [site.name for site in evolve.sites(model, values)] == ["0"]
    assert seen(model, values, [read_batch(values)]) == {}


def test_targets_of_another_shape_are_no_labels():
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    values = torch.randn(4, 5, 3)
    for labels in (torch.zeros(4, 5, 2).long(), torch.zeros(4, 3).long()):
        found = seen(model, values, [read_batch((values, labels))])["0"]
        assert found.targets is None
        assert found.labelled() is None
