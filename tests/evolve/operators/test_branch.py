"""A second way beside a module, the same outputs."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from outgrow import evolve
from outgrow.errors import InputError
from outgrow.evolve.errors import SiteNotFound, SiteRefused
from outgrow.evolve.layers.branched import Branched

_IMAGES = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(0))


class _Masked(nn.Conv2d):
    """Looks at its own position and those before it in a row."""

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.tensor([1.0, 1.0, 0.0], dtype=x.dtype)
        mask = torch.stack([torch.zeros(3, dtype=x.dtype), mask, torch.zeros(3, dtype=x.dtype)])
        return nn.functional.conv2d(x, self.weight * mask, self.bias, self.stride, self.padding)


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, dilation=1)
        self.grouped = nn.Conv2d(8, 8, 5, padding=2, groups=4)
        self.masked = _Masked(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 3, stride=2, output_padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.masked(self.grouped(torch.relu(self.conv(x))))
        return self.head(self.norm(self.up(x)).mean((2, 3)))


def test_every_layer_with_a_matrix_is_a_site() -> None:
    found = evolve.sites(_Net(), _IMAGES, kind="branch")
    assert [site.name for site in found] == ["conv", "grouped", "masked", "up", "head"]


@pytest.mark.parametrize("name", ["conv", "grouped", "masked", "up", "head"])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_outputs_stay_new_weights_learn_and_undo_is_bit_exact(name: str, training: bool) -> None:
    torch.manual_seed(0)
    model = _Net().double().train(training)
    inputs = _IMAGES.double()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    expected = copy.deepcopy(model)(inputs)
    edit = evolve.branch(model, name, 3, example_inputs=inputs, seed=7)
    assert edit.promise == "exact"
    assert torch.equal(copy.deepcopy(model)(inputs), expected)
    grown = copy.deepcopy(model)
    edit.undo(model)
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    branch = grown.get_submodule(name).branch
    start = [one.detach().clone() for one in branch.parameters()]
    optimizer = torch.optim.Adam(grown.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        grown(inputs).square().sum().backward()
        optimizer.step()
    assert all(not torch.equal(one, was) for one, was in zip(branch.parameters(), start, strict=True))


def test_the_same_seed_draws_the_same_weights_and_global_random_numbers_are_left_alone() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        model = _Net()
        torch.manual_seed(len(states))
        before = torch.get_rng_state()
        evolve.branch(model, "conv", example_inputs=_IMAGES, seed=3)
        assert torch.equal(torch.get_rng_state(), before)
        states.append(model.conv.branch.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_beside_a_masked_convolution_nothing_looks_around() -> None:
    model = _Net()
    evolve.branch(model, "masked", example_inputs=_IMAGES)
    assert model.masked.branch.reduce.kernel_size == (1, 1)


def test_the_new_module_is_asked_like_the_old_one_and_can_be_copied_and_pickled() -> None:
    model = _Net()
    evolve.branch(model, "conv", example_inputs=_IMAGES)
    assert isinstance(model.conv, Branched)
    assert model.conv.out_channels == 8
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = model.conv.no_such_thing
    again = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    assert torch.equal(again.eval()(_IMAGES), model.eval()(_IMAGES))


def test_channels_last_and_the_mode_are_taken_over() -> None:
    model = _Net().to(memory_format=torch.channels_last).eval()
    evolve.branch(model, "grouped", example_inputs=_IMAGES)
    assert model.grouped.branch.reduce.weight.is_contiguous(memory_format=torch.channels_last)
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"site": "conf"}, SiteNotFound),
        ({"site": "norm"}, SiteRefused),
        ({"site": "conv", "width": 0}, InputError),
        ({"site": "conv", "width": "4"}, InputError),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_anything_changes(arguments, error) -> None:
    model = _Net()
    before = list(model.state_dict())
    with pytest.raises(error) as caught:
        evolve.branch(model, **arguments, example_inputs=_IMAGES)
    assert caught.value.hint
    assert list(model.state_dict()) == before
