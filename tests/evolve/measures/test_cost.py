import copy
import dataclasses

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.evolve.batches import read_batch
from outgrow.evolve.example_inputs import call_form
from outgrow.evolve.measures.cost import Cost, measure_cost, measure_seconds
from outgrow.evolve.measures.site_cost import SiteCosts


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(54, 12), nn.ReLU(), nn.Linear(12, 10),
    )  # fmt: skip


def assert_same(actual: Cost, expected: Cost) -> None:
    assert dataclasses.asdict(actual) == pytest.approx(dataclasses.asdict(expected))


def test_linear_layers_cost_what_they_multiply():
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    cost = measure_cost(model, call_form(torch.randn(7, 3)))
    forward = 2 * (15 + 10)
    # Backwards: both weights, and the input of the second layer.
    assert cost == Cost(parameters=32, bytes=128, flops=forward, training_flops=forward + 2 * (15 + 10 + 10))


def test_a_convolution_costs_its_weight_at_every_place():
    cost = measure_cost(nn.Conv2d(3, 8, 3, padding=1, bias=False), call_form(torch.randn(2, 3, 5, 6)))
    assert cost.flops == 2 * 8 * 3 * 9 * 30


def test_attention_costs_the_same_whichever_kernel_runs():
    query = torch.randn(2, 4, 16, 8, requires_grad=True)

    class Attention(nn.Module):
        def forward(self, query):
            return nn.functional.scaled_dot_product_attention(query, query, query)

    for backend in (torch.nn.attention.SDPBackend.MATH, torch.nn.attention.SDPBackend.FLASH_ATTENTION):
        with torch.nn.attention.sdpa_kernel(backend):
            assert measure_cost(Attention(), call_form(query)).flops == 4 * 2 * (2 * 16 * 16 * 8)


def test_tied_weights_count_once_and_frozen_ones_are_not_trained():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    assert measure_cost(model, call_form(torch.randn(1, 4))).parameters == 16
    model.requires_grad_(False)
    cost = measure_cost(model, call_form(torch.randn(1, 4)))
    assert cost.training_flops == cost.flops == 64


def test_measuring_leaves_everything_as_it_was():
    model = convolutional()
    model(torch.randn(2, 1, 8, 8)).sum().backward()
    model[0].weight.grad += 1
    before = {name: one.clone() for name, one in model.state_dict().items()}
    gradients = [(one.grad, one.grad.clone()) for one in model.parameters()]
    state = torch.get_rng_state()
    measure_cost(model, call_form(torch.randn(1, 1, 8, 8, generator=torch.Generator())))
    measure_seconds(model, read_batch((torch.ones(2, 1, 8, 8), torch.tensor([1, 2]))), repeats=1)
    SiteCosts(model, call_form(torch.ones(1, 1, 8, 8)))
    assert torch.equal(state, torch.get_rng_state())
    assert model.training
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    for parameter, (gradient, contents) in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is gradient
        assert torch.equal(gradient, contents)
    assert not any(module._forward_hooks for module in model.modules())


def test_one_sample_is_enough_for_batch_normalisation():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    assert measure_cost(model, call_form(torch.randn(1, 3))).flops == 24


def test_seconds_are_positive_and_grow_with_the_batch():
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 4))
    seconds = [
        measure_seconds(model, read_batch((torch.randn(size, 64), torch.zeros(size).long())))
        for size in (8, 4096)
    ]
    assert 0 < seconds[0] < seconds[1]


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (convolutional, torch.randn(3, 1, 8, 8)),
        (
            lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)),
            torch.randn(2, 5, 6),
        ),
    ],
    ids=["convolutional", "linear"],
)
def test_what_widening_would_cost_is_what_it_costs(model, inputs):
    model = model()
    form = call_form(inputs)
    before, costs = measure_cost(model, form), SiteCosts(model, form)
    for site in evolve.sites(model, inputs):
        wider = copy.deepcopy(model)
        evolve.widen(wider, site.name, by=2 * site.step, example_inputs=inputs)
        assert_same(costs.of(site, 2 * site.step), measure_cost(wider, form) - before)


def test_heads_of_a_transformer_cost_what_they_cost():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_layer=1, n_head=4, n_embd=32, vocab_size=64, n_positions=32, bos_token_id=0, eos_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config)
    inputs = {"input_ids": torch.randint(64, (2, 16))}
    form = call_form(inputs)
    before, costs = measure_cost(model, form), SiteCosts(model, form)
    found = evolve.sites(model, inputs)
    assert found
    for site in found:
        wider = copy.deepcopy(model)
        by = site.width if site.methods[0] == "duplicate" else site.step
        evolve.widen(wider, site.name, by=by, example_inputs=inputs)
        assert_same(costs.of(site, by), measure_cost(wider, form) - before)


def test_a_frozen_model_costs_only_what_it_computes():
    """Nothing is trained: a step is a forward pass."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).requires_grad_(False)
    values = torch.randn(5, 3)
    (site,) = evolve.sites(model, values, kind="prune")
    cost = SiteCosts(model, call_form(values)).of(site, -1)
    assert cost == Cost(parameters=-6, bytes=-24, flops=-2 * (3 + 2), training_flops=-2 * (3 + 2))
