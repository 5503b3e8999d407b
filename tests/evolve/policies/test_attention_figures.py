import pytest
import torch
from torch import nn

from outgrow.evolve.batches import Batch, read_batch
from outgrow.evolve.policies.attention_figures import layer_figures


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 4)
        self.unused = nn.Linear(3, 3)

    def forward(self, inputs):
        return self.head(self.norm(self.conv(inputs)).relu().mean((2, 3)))


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return read_batch((torch.randn(16, 1, 5, 5), torch.randint(4, (16,))))


def test_layers_that_ran_in_order_with_their_costs(batch):
    conv, head = layer_figures(Net(), batch)
    assert (conv.name, conv.kind, conv.width, conv.parameters) == ("conv", "convolution", 6, 60)
    assert conv.macs == 25 * 54
    assert (head.name, head.kind, head.width, head.macs) == ("head", "linear", 4, 24)


def test_copies_are_redundant_and_independent_channels_are_not(batch):
    model = Net()
    with torch.no_grad():
        model.conv.weight.copy_(model.conv.weight[:1].expand_as(model.conv.weight))
    assert layer_figures(model, batch)[0].redundancy == pytest.approx(1, abs=1e-6)
    noise = nn.Sequential(nn.Linear(4, 4))
    with torch.no_grad():
        noise[0].weight.copy_(torch.eye(4))
    inputs = torch.randn(4000, 4)
    (figures,) = layer_figures(noise, read_batch((inputs, torch.randint(4, (4000,)))))
    assert figures.redundancy < 0.08


def test_gradient_is_relative_to_the_weights(batch):
    model = Net()
    loss = nn.functional.cross_entropy(model.eval()(batch.inputs.args[0]), batch.target)
    weight, bias = torch.autograd.grad(loss, [model.head.weight, model.head.bias])
    pull = (weight.square().sum() + bias.square().sum()).sqrt()
    size = (model.head.weight.square().sum() + model.head.bias.square().sum()).sqrt().detach()
    assert layer_figures(model, batch)[1].gradient == pytest.approx(float(pull / size), rel=1e-4)


def test_frozen_layer_is_marked_and_a_wholly_frozen_model_can_be_looked_at(batch):
    model = Net().requires_grad_(False)
    assert all(one.is_frozen and one.gradient == 0 for one in layer_figures(model, batch))
    model.head.requires_grad_(True)
    assert [one.is_frozen for one in layer_figures(model, batch)] == [True, False]


def test_model_is_left_as_it_was(batch):
    model = Net().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    layer_figures(model, batch)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(one.grad is None for one in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_go_when_the_model_fails():
    model = Net()
    with pytest.raises(RuntimeError):
        layer_figures(model, Batch(inputs=read_batch(torch.randn(2, 3, 5, 5)).inputs, target=torch.zeros(2)))
    assert not any(module._forward_hooks for module in model.modules())


def test_attention_is_one_layer_with_the_weights_of_its_parts():
    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, inputs):
            return self.attention(inputs, inputs, inputs)[0].mean(1)

    given = read_batch((torch.randn(8, 5, 4), torch.randint(4, (8,))))
    (figures,) = layer_figures(Attending(), given)
    # Four matrices of 4 x 4 (queries, keys, values, outputs) with a bias each, at five places.
    assert (figures.name, figures.kind, figures.width) == ("attention", "attention", 4)
    assert (figures.parameters, figures.macs) == (4 * 16 + 16, 5 * 4 * 16)


def test_a_layer_that_runs_twice_is_seen_where_it_ran_first():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    both = nn.Sequential(model, model)
    inputs = torch.randn(16, 4)
    given = read_batch((inputs, torch.randint(4, (16,))))
    (figures,) = layer_figures(both, given)
    alike = torch.corrcoef(model[0](inputs).detach().double().T).abs().fill_diagonal_(0)
    assert figures.redundancy == pytest.approx(float(alike.max(1).values.mean()), rel=1e-6)


def test_a_single_channel_repeats_nothing(batch):
    model = nn.Sequential(nn.Conv2d(1, 1, 5), nn.Flatten(), nn.Linear(1, 4))
    conv, head = layer_figures(model, batch)
    assert (conv.width, conv.redundancy) == (1, 0.0)
    # One number is all that the head reads: its channels are copies of each other.
    assert head.redundancy == pytest.approx(1)
