"""What is refused, before anything has changed, and what the reader is told."""

import sys

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.errors import InputError
from outgrow.evolve.errors import CannotCheck, SiteNotFound


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), torch.randn(2, 4)


class Odd(nn.Module):
    """A model of a function, and of one layer that it may use or not."""

    def __init__(self, forward):
        super().__init__()
        self.first, self.second, self.spare = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 3)
        self._forward = forward

    def forward(self, x):
        return self._forward(self, x)


def test_an_unknown_kind_names_the_nearest():
    model, x = small()
    with pytest.raises(InputError, match="widn") as caught:
        evolve.sites(model, x, kind="widn")
    assert "did you mean 'widen'" in str(caught.value)


def test_an_unknown_site_names_the_nearest():
    model, x = small()
    named = nn.Sequential()
    for name, module in zip(("expand", "act", "reduce"), model, strict=True):
        named.add_module(name, module)
    with pytest.raises(SiteNotFound, match="nearest: expand"):
        evolve.widen(named, "expnd", by=1, example_inputs=x)


@pytest.mark.parametrize(
    ("name", "why"),
    [("2", "is part of what the model gives"), ("1", "it has no weights"), ("", "of its own")],
)
def test_a_module_that_is_no_site_is_told_why(name, why):
    model, x = small()
    with pytest.raises(SiteNotFound, match=why):
        evolve.widen(model, name, by=1, example_inputs=x)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [({"given": torch.ones(2, 4)}, "does not take"), ("text", "is a str"), ((), "does not take")],
    ids=["keyword", "string", "none"],
)
def test_inputs_that_the_model_does_not_take_say_what_it_takes(inputs, says):
    model, _ = small()
    with pytest.raises(InputError, match=says) as caught:
        evolve.sites(model, inputs)
    assert caught.value.hint


def test_inputs_on_which_the_model_fails_carry_its_own_error():
    model, _ = small()
    with pytest.raises(CannotCheck, match="RuntimeError: mat1 and mat2") as caught:
        evolve.sites(model, torch.ones(2, 5))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_model_without_outputs_is_refused():
    with pytest.raises(CannotCheck, match="gives no tensor"):
        evolve.sites(Odd(lambda self, x: None), torch.ones(2, 4))


def test_a_model_on_the_meta_device_is_refused():
    model, x = small()
    with pytest.raises(InputError, match=r"0\.weight is on the meta device"):
        evolve.sites(model.to("meta"), x)


def test_inputs_on_another_device_name_both():
    model, _ = small()
    with pytest.raises(InputError, match=r"input 0 is on meta, and 0\.weight is on cpu"):
        evolve.sites(model, torch.ones(2, 4, device="meta"))


def test_no_module_is_refused():
    with pytest.raises(InputError, match="model is a str"):
        evolve.sites("model", torch.ones(1))


def test_a_frozen_layer_is_no_place_and_says_so():
    model, x = small()
    model.requires_grad_(False)
    assert evolve.sites(model, x) == []
    assert [site.name for site in evolve.sites(model, x, kind="prune")] == ["0"]
    with pytest.raises(SiteNotFound, match="requires_grad is False"):
        evolve.widen(model, "0", by=1, example_inputs=x)


def test_a_quantized_layer_is_no_place():
    class Int8(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(6, 4, dtype=torch.int8), requires_grad=False)

        def forward(self, x):
            return x @ self.weight.to(x.dtype).t()

    model = nn.Sequential(Int8(), nn.ReLU(), nn.Linear(6, 3))
    x = torch.randn(2, 4)
    assert evolve.sites(model, x) == []
    with pytest.raises(SiteNotFound, match="quantized"):
        evolve.widen(model, "0", by=1, example_inputs=x)


def test_what_these_inputs_do_not_reach_is_left_alone():
    """A branch that data decide: its layer reads the same units, and nobody saw it."""

    def forward(self, x):
        h = self.first(x).relu()
        return self.spare(h) if float(x.sum()) > 1e6 else self.second(h)

    model, x = Odd(forward), torch.randn(2, 4)
    assert evolve.sites(model, x) == []
    with pytest.raises(SiteNotFound, match=r"spare\.weight may belong to it"):
        evolve.widen(model, "first", by=1, example_inputs=x)


def test_a_head_for_training_is_seen_in_train_mode():
    def forward(self, x):
        h = self.first(x).relu()
        return (self.second(h), self.spare(h)) if self.training else self.second(h)

    model, x = Odd(forward).eval(), torch.randn(2, 4)
    (site,) = evolve.sites(model, x)
    assert {one.weight for one in site.coupled} >= {"second.weight", "spare.weight"}
    evolve.widen(model, site, by=2)
    assert [one.shape for one in model.train()(x)] == [(2, 3), (2, 3)]


def test_a_wrapped_model_is_looked_at_inside(monkeypatch):
    # Where other tests of this process have made the device of workers, it would move the model there.
    module = sys.modules[nn.DataParallel.__module__]
    monkeypatch.setattr(module, "_get_available_device_type", lambda: None)
    model, x = small()
    names = [site.name for site in evolve.sites(model, x)]
    assert [site.name for site in evolve.sites(nn.DataParallel(model), x)] == names


def test_a_configuration_that_others_read_is_not_changed_for_one_layer():
    class Settings:
        def __init__(self):
            self.width = 6

    class Block(nn.Module):
        def __init__(self, settings):
            super().__init__()
            self.settings = settings
            self.up, self.down = nn.Linear(4, settings.width), nn.Linear(settings.width, 4)

        def forward(self, x):
            return self.down(self.up(x).view(len(x), self.settings.width).relu())

    shared = Settings()
    x = torch.randn(2, 4)
    assert evolve.sites(nn.Sequential(Block(shared), Block(shared), nn.Linear(4, 2)), x)[0].name == "0.down"
    alone = nn.Sequential(Block(Settings()), Block(Settings()), nn.Linear(4, 2))
    found = {site.name: site for site in evolve.sites(alone, x)}
    assert {"0.up", "1.up"} <= found.keys()
    assert [one.path for one in found["1.up"].attributes] == ["settings.width"]
    evolve.widen(alone, "1.up", by=2, example_inputs=x)
    assert alone[1].settings.width == 8
    assert alone[0].settings.width == 6


def test_units_that_a_convolution_takes_for_places_stay():
    def forward(self, x):
        h = self.first(x).relu()
        near = torch.nn.functional.conv1d(h[:, None], self.near, padding=1)
        return self.second(near.mean(-1))

    model, x = Odd(forward), torch.randn(2, 4)
    model.near = nn.Parameter(torch.randn(6, 1, 3))
    for kind in ("widen", "prune"):
        assert "first" not in [site.name for site in evolve.sites(model, x, kind=kind)]
    with pytest.raises(SiteNotFound, match="is a place of the inputs"):
        evolve.prune(model, "first", indices=[0], example_inputs=x)


@pytest.mark.parametrize("shift", [1, 3])
def test_units_that_are_rolled_through_all_dims_stay(shift):
    model, x = Odd(lambda self, x: self.second(torch.roll(self.first(x), shift))), torch.randn(2, 4)
    for kind in ("widen", "prune"):
        assert evolve.sites(model, x, kind=kind) == []


def test_units_that_are_multiplied_by_themselves_stay():
    """Of an outer product each index belongs to two units; which share it has in them nobody can say."""

    def forward(self, x):
        h = self.first(x)
        return self.pairs((h[:, :, None] * h[:, None, :]).flatten(1))

    model, x = Odd(forward), torch.randn(2, 4)
    model.pairs = nn.Linear(36, 3)
    for kind in ("widen", "prune"):
        assert evolve.sites(model, x, kind=kind) == []
    with pytest.raises(SiteNotFound, match="is multiplied by itself"):
        evolve.prune(model, "first", indices=[0], example_inputs=x)


@pytest.mark.parametrize("kind", ["modern", "hooked"])
def test_a_weight_under_spectral_norm_is_no_place_and_says_so(kind):
    """In eval mode it looks exact: its norm is computed anew in train mode only."""
    norm = nn.utils.parametrizations.spectral_norm if kind == "modern" else nn.utils.spectral_norm
    model = nn.Sequential(norm(nn.Linear(4, 6)), nn.ReLU(), norm(nn.Linear(6, 5)), nn.ReLU(), nn.Linear(5, 2))
    x = torch.randn(3, 4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert [evolve.sites(model, x, kind=each) for each in ("widen", "prune")] == [[], []]
    with pytest.raises(SiteNotFound):
        evolve.widen(model, "2", by=1, example_inputs=x)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_an_orthogonal_weight_is_no_place_and_its_neighbour_is():
    orthogonal = nn.utils.parametrizations.orthogonal
    model = nn.Sequential(orthogonal(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    assert [site.name for site in evolve.sites(model, torch.randn(3, 4))] == ["2"]


@pytest.mark.parametrize("kind", ["widen", "prune", "deepen", "branch", "insert_attention", "mutate"])
@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_an_encoder_that_skips_its_padding_is_looked_at(kind, trained):
    """In eval mode torch hands nested tensors from layer to layer then."""

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 1)

        def forward(self, x, mask):
            return self.encoder(x, src_key_padding_mask=mask)

    model = Masked().double().eval().requires_grad_(trained)
    mask = torch.tensor([[False, False, False], [False, False, True]])
    inputs = (torch.randn(2, 3, 8).double(), mask)
    found = evolve.sites(model, inputs, kind=kind)
    if kind == "widen" and trained:
        assert [site.name for site in found] == ["encoder.layers.0.linear1"]
        assert evolve.widen(model, found[0], by=2).promise == "exact"


def test_outputs_that_cannot_be_compared_are_refused():
    class Last(nn.Module):
        def forward(self, x):
            return x.to_sparse()

    with pytest.raises(CannotCheck, match="sparse"):
        evolve.sites(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2), Last()), torch.randn(3, 4))


def test_inputs_that_only_eval_mode_takes_are_told_in_train_mode():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)).train()
    with pytest.raises(CannotCheck, match="in train mode"):
        evolve.widen(model, "0", by=1, example_inputs=torch.randn(1, 4))
    assert model[0].out_features == 6


@pytest.mark.parametrize("site", [0, None, b"first"])
@pytest.mark.parametrize("change", [evolve.widen, evolve.branch])
def test_a_site_of_another_type_is_refused(site, change):
    model, x = small()
    arguments = {"by": 1} if change is evolve.widen else {}
    with pytest.raises(InputError, match="site is a"):
        change(model, site, **arguments, example_inputs=x)


@pytest.mark.parametrize(
    "arguments",
    [{"by": 10**12}, {"by": 1, "bound": "a"}, {"by": 1, "bound": None}, {"by": 1, "method": ["split"]}],
)
def test_arguments_that_cannot_be_are_refused_by_name(arguments):
    model, x = small()
    with pytest.raises(InputError):
        evolve.widen(model, "0", **arguments, example_inputs=x)


def test_what_is_no_model_and_no_edit_is_refused():
    model, x = small()
    with pytest.raises(InputError, match="model is a"):
        evolve.widen(None, "0", by=1, example_inputs=x)
    with pytest.raises(InputError, match="model is a"), evolve.transaction(None):
        pass
    with pytest.raises(InputError, match="edit is a"):
        evolve.apply(model, "edit", x)
    with pytest.raises(InputError, match="kind="):
        evolve.sites(model, x, kind=["widen"])


def test_thousands_of_units_grow_in_a_moment():
    model, x = small()
    evolve.widen(model, "0", by=50_000, example_inputs=x)
    assert model[0].out_features > 50_000


def test_weights_that_share_their_memory_without_being_one_stay():
    def forward(self, x):
        return self.second(self.first(x).relu()) + self.spare(x)[:, :3]

    model, x = Odd(forward), torch.randn(2, 4)
    model.spare = nn.Linear(4, 6)
    assert [site.name for site in evolve.sites(model, x)] == ["first"]
    model.spare.weight.data = model.first.weight.data
    for kind in ("widen", "prune"):
        assert evolve.sites(model, x, kind=kind) == []
    with pytest.raises(SiteNotFound, match=r"shares its memory with spare\.weight"):
        evolve.widen(model, "first", by=1, example_inputs=x)
