"""Another form, the same outputs."""

import copy

import pytest
import torch
from torch import Tensor, nn

from outgrow import evolve
from outgrow.errors import InputError
from outgrow.evolve.errors import NotExact, SiteNotFound, SiteRefused
from outgrow.evolve.flow.mutating import ACTIVATIONS, MUTATIONS

_IMAGES = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Conv2d(4, 8, 1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4)
        self.relu = nn.ReLU()
        self.leaky = nn.LeakyReLU(0.2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.point(x))
        return self.head(self.leaky(self.grouped(x)).mean((2, 3)))


class _Pixels(nn.Module):
    """Looks back only, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 6, 1)
        self.last = nn.Conv2d(6, 4, (1, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(nn.functional.pad(self.first(x), (2, 0)))


def test_what_can_take_another_form_is_listed_with_its_forms() -> None:
    found = {site.name: site.methods for site in evolve.sites(_Net(), _IMAGES, kind="mutate")}
    assert found == {
        "point": ("kernel",),
        "grouped": ("kernel", "ungroup"),
        "relu": ("prelu",),
        "leaky": ("prelu",),
    }
    assert {method for methods in found.values() for method in methods} == MUTATIONS.keys() - {"activation"}


@pytest.mark.parametrize(
    ("name", "method", "options"),
    [
        ("point", "kernel", {}),
        ("point", "kernel", {"kernel_size": 5}),
        ("grouped", "kernel", {}),
        ("grouped", "ungroup", {}),
        ("relu", "prelu", {}),
        ("leaky", "prelu", {}),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["fp64", "fp32"])
def test_outputs_stay_new_entries_learn_and_undo_is_bit_exact(name, method, options, dtype) -> None:
    torch.manual_seed(0)
    model, inputs = _Net().to(dtype), _IMAGES.to(dtype)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    expected = model(inputs).detach()
    edit = evolve.mutate(model, name, method, example_inputs=inputs, **options)
    assert edit.promise == "exact"
    apart = (model(inputs).detach() - expected).abs().max() / expected.abs().max()
    assert float(apart) <= (1e-12 if dtype == torch.float64 else 1e-5)
    grown = copy.deepcopy(model)
    edit.undo(model)
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert torch.equal(model(inputs), expected)
    weight = grown.get_submodule(name).weight
    start = weight.detach().clone()
    grown(inputs).square().sum().backward()
    torch.optim.Adam(grown.parameters(), lr=1e-2).step()
    assert bool((weight != start).all())


def test_a_larger_kernel_is_refused_where_a_model_looks_back_only() -> None:
    model = _Pixels()
    assert evolve.sites(model, _IMAGES, kind="mutate") == []
    with pytest.raises(SiteNotFound):
        evolve.mutate(model, "first", "kernel", example_inputs=_IMAGES)


@pytest.mark.parametrize("to", ACTIVATIONS)
def test_another_activation_is_lossy_and_has_to_be_allowed(to: str) -> None:
    model = _Net()
    if to != "relu":
        with pytest.raises(NotExact):
            evolve.mutate(model, "relu", "activation", to=to, example_inputs=_IMAGES)
        assert type(model.relu) is nn.ReLU
    edit = evolve.mutate(model, "relu", "activation", to=to, example_inputs=_IMAGES, allow="lossy")
    assert edit.promise == "lossy"
    assert type(model.relu) is ACTIVATIONS[to]
    edit.undo(model)
    assert type(model.relu) is nn.ReLU


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"site": "pint"}, SiteNotFound),
        ({"site": "point", "method": "kernels"}, InputError),
        ({"site": "point", "method": "prelu"}, SiteRefused),
        ({"site": "point", "kernel_size": 2}, SiteRefused),
        ({"site": "relu", "kernel_size": 3}, SiteRefused),
        ({"site": "relu", "method": "activation"}, InputError),
        ({"site": "point", "method": "activation", "to": "gelu"}, SiteNotFound),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_anything_changes(arguments, error) -> None:
    model = _Net()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(error) as caught:
        evolve.mutate(model, **arguments, example_inputs=_IMAGES)
    assert caught.value.hint
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
