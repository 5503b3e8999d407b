"""Factories and random numbers on the device give what torch gives on the CPU for one seed."""

import pytest
import torch
from torch import nn

FACTORIES = {
    "zeros": lambda d: torch.zeros(2, 3, device=d, dtype=torch.int8),
    "ones": lambda d: torch.ones(0, 3, device=d),
    "full": lambda d: torch.full((2,), 3.5, device=d),
    "full of bools": lambda d: torch.full((2,), True, device=d),
    "arange": lambda d: torch.arange(5, device=d),
    "arange of floats": lambda d: torch.arange(0, 1, 0.1, device=d),
    "linspace": lambda d: torch.linspace(0, 1, 5, device=d),
    "logspace": lambda d: torch.logspace(0, 1, 3, device=d),
    "eye": lambda d: torch.eye(3, 4, device=d),
    "tril_indices": lambda d: torch.tril_indices(3, 3, device=d),
    "hann_window": lambda d: torch.hann_window(5, device=d),
    "scalar": lambda d: torch.scalar_tensor(3, device=d),
    "tensor": lambda d: torch.tensor([[1, 2], [3, 4]], device=d),
    "as_tensor": lambda d: torch.as_tensor([1.0, 2.0], device=d),
    "new_full": lambda d: torch.zeros(2, device=d).new_full((3,), 2),
    "ones_like": lambda d: torch.ones_like(torch.zeros(2, 3, device=d).t(), dtype=torch.float64),
    "meshgrid": lambda d: torch.meshgrid(torch.arange(2, device=d), torch.arange(3, device=d), indexing="ij")[
        0
    ],
    "one_hot": lambda d: nn.functional.one_hot(torch.tensor([0, 2], device=d)),
}
RANDOM = {
    "rand": lambda d: torch.rand(5, 7, device=d),
    "randn": lambda d: torch.randn(17, device=d, dtype=torch.float64),
    "randint": lambda d: torch.randint(0, 9, (4,), device=d),
    "randperm": lambda d: torch.randperm(7, device=d),
    "normal": lambda d: torch.normal(0.0, 1.0, (3,), device=d),
    "normal of means": lambda d: torch.normal(torch.arange(4.0, device=d), 2.0),
    "rand_like": lambda d: torch.rand_like(torch.zeros(3, 4, device=d).t()),
    "randint_like": lambda d: torch.randint_like(torch.zeros(3, device=d), 5),
    "bernoulli": lambda d: torch.bernoulli(torch.full((5, 5), 0.3, device=d)),
    "bernoulli_": lambda d: torch.empty(5, 5, device=d).bernoulli_(0.3),
    "multinomial": lambda d: torch.multinomial(torch.ones(5, device=d), 3),
    "poisson": lambda d: torch.poisson(torch.full((5,), 3.0, device=d)),
    "exponential_": lambda d: torch.empty(5, device=d).exponential_(),
    "random_": lambda d: torch.empty(5, device=d).random_(3, 9),
    "normal_ of a transpose": lambda d: torch.zeros(6, 5, device=d).t().normal_(),
    "normal_ of a slice": lambda d: torch.zeros(6, 9, device=d)[:, ::2].normal_(),
    "trunc_normal_": lambda d: nn.init.trunc_normal_(torch.empty(4, 4, device=d)),
    "kaiming_uniform_": lambda d: nn.init.kaiming_uniform_(torch.empty(4, 4, device=d)),
    "orthogonal_": lambda d: nn.init.orthogonal_(torch.empty(4, 4, device=d)),
    "generator": lambda d: torch.empty(3, device=d).normal_(generator=torch.Generator().manual_seed(3)),
    "native_dropout": lambda d: torch.native_dropout(torch.ones(4, 4, device=d), 0.5, True),
    "gumbel_softmax": lambda d: nn.functional.gumbel_softmax(torch.ones(3, 4, device=d)),
}


@pytest.mark.parametrize("name", FACTORIES)
def test_factories_give_what_torch_gives(name, assert_same):
    assert_same(FACTORIES[name])


@pytest.mark.parametrize("name", RANDOM)
def test_one_seed_gives_the_numbers_of_one_device(name, assert_same):
    # A second draw shows that the generator was left where torch leaves it.
    assert_same(lambda device: [*_several(RANDOM[name](device)), torch.rand(3, device=device)], rtol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [nn.Dropout(0.3), nn.Dropout2d(0.3), nn.AlphaDropout(0.3), nn.FeatureAlphaDropout(0.3), nn.RReLU()],
)
def test_dropout_and_its_gradient_are_those_of_one_device_bit_for_bit(layer, assert_same):
    def program(device):
        data = torch.randn(2, 3, 4, 5).to(device).requires_grad_()
        result = layer(data)
        result.pow(2).sum().backward()
        return result, data.grad

    assert_same(program)


def test_dropout_within_inference_mode_draws_the_same(assert_same):
    def program(device):
        with torch.inference_mode():
            return nn.functional.dropout(torch.ones(6, 6, device=device), 0.5, training=True)

    assert_same(program)


def test_a_layer_made_on_the_device_starts_as_on_the_cpu(assert_same):
    def program(device):
        with torch.device(device):
            return list(nn.TransformerEncoderLayer(8, 2, 16).parameters())

    assert_same(program)


def test_numbers_left_over_in_memory_are_zeros():
    # Different ranks would have different ones.
    assert torch.empty(3, device="workers").tolist() == [0.0] * 3
    assert torch.zeros(3, device="workers").new_empty(2).tolist() == [0.0] * 2


def _several(result):
    return result if isinstance(result, tuple) else (result,)
