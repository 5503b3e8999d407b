"""What torch's own layers couple: everything that is listed grows exactly, whatever the model is made of."""

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.evolve.coupling.coupling import find_coupling
from outgrow.evolve.edits.outputs import output_tensors, relative_change
from outgrow.evolve.example_inputs import call_form
from tests.evolve.coupling.torch_models import IMAGES, SEQUENCES, Plain, build

EXPECTED = {
    "residual": {"stem": 1, "first": 1},
    "option_a": {"down": 1},
    "dense": {"stem": 1, "one": 1, "two": 1},
    "depthwise": {"spread": 1, "squeeze": 1, "back": 1},
    "grouped": {"two": 4},
    "transposed": {"down": 1, "up": 1, "wide": 4},
    "transposed_groups": {"0": 3, "2": 1},
    "flattened": {"0": 1, "5": 1},
    "instance": {"0": 1, "3": 1},
    "gated": {"1": 2, "3": 1},
    "weight_normed": {},
    "called_twice": {"first": 1},
    "encoder_layer": {"layer.linear1": 1},
    "transformer": {"model.encoder.layers.0.linear1": 1, "model.decoder.layers.0.linear1": 1},
    "attention": {},
    "recurrent": {"middle": 1},
    "queries": {"v": 1},
    "inside": {"first": 1, "other": 1},
    "heads_in_attributes": {"0.qkv": 12},
}
"""Sites that have to be there: name -> step."""


@pytest.mark.parametrize("name", [*IMAGES, *SEQUENCES])
def test_everything_that_is_listed_grows_exactly(name):
    model, x = build(name, torch.float64)
    found = {site.name: site for site in evolve.sites(model, x)}
    assert len(found) == len(evolve.sites(model, x))  # names are unique
    for site in found.values():
        for steps in (1, 2, 3):
            grown, _ = build(name, torch.float64)
            before = output_tensors(grown(x))
            edit = evolve.widen(grown, site.name, by=steps * site.step, example_inputs=x, seed=steps)
            assert edit.promise == "exact"
            assert relative_change(output_tensors(grown(x)), before) <= 1e-12, (site.name, steps)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_places_are_where_mathematics_has_them(name):
    model, x = build(name, torch.float32)
    found = {site.name: site.step for site in evolve.sites(model, x)}
    assert EXPECTED[name].items() <= found.items(), found


@pytest.mark.parametrize("name", [*IMAGES, *SEQUENCES])
def test_looking_for_places_leaves_the_model_as_it_was(name):
    model, x = build(name, torch.float32)
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state, attributes = torch.get_rng_state(), [dict(vars(module)) for module in model.modules()]
    evolve.sites(model, x)
    evolve.sites(model, x, kind="prune")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in model.modules())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    for module, known in zip(model.modules(), attributes, strict=True):
        assert {key: value for key, value in vars(module).items() if not key.startswith("_")} == {
            key: value for key, value in known.items() if not key.startswith("_")
        }
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_a_size_that_is_written_into_the_code_is_never_listed():
    def forward(self, x):
        h = self.first(x).view(len(x), 4, -1)  # heads are four, whatever comes
        return self.head((h * h.softmax(-1)).flatten(1))

    model = Plain(forward, first=nn.Linear(6, 12), head=nn.Linear(12, 3)).double()
    x = torch.randn(2, 6).double()
    assert evolve.sites(model, x) == []


def test_a_mistake_behind_a_layer_that_starts_near_zero_is_seen_all_the_same():
    def forward(self, x):
        h = self.up(x).view(len(x), 4, -1)  # with five times four this is another split, and still runs
        return x + 1e-14 * self.down(h.softmax(1).flatten(1))

    model = Plain(forward, up=nn.Linear(6, 16), down=nn.Linear(16, 6)).double()
    model = nn.Sequential(model, nn.Linear(6, 2).double())
    found = {site.name: site for site in evolve.sites(model, torch.randn(2, 6).double())}
    assert {name: site.step for name, site in found.items()} == {"0.up": 4}  # what each of the four has


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models_have_the_same_places(dtype):
    model, x = build("residual", torch.float32)
    half, small = build("residual", dtype)
    assert [site.name for site in evolve.sites(model, x)] == [site.name for site in evolve.sites(half, small)]


def test_under_autocast_and_channels_last_the_places_are_the_same():
    model, x = build("residual", torch.float32)
    names = [site.name for site in evolve.sites(model, x)]
    last = model.to(memory_format=torch.channels_last)
    assert [site.name for site in evolve.sites(last, x.to(memory_format=torch.channels_last))] == names
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coupling = find_coupling(model, call_form(x))
    assert sum(coupling.why_frozen(leaf) is None and leaf.size > 1 for leaf in coupling.leaves) == 2
