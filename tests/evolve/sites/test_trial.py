"""A change is tried on the model itself, held against what it gave before, and taken back."""

import copy

import pytest
import torch
from torch import nn

from outgrow.evolve.coupling.coupling import find_coupling
from outgrow.evolve.example_inputs import call_form
from outgrow.evolve.sites.site import SizeAttribute
from outgrow.evolve.sites.trial import Trial
from tests.evolve.sites.places import Block, Of, rows


def trial_of(model, weight="first.weight", **more):
    inputs = call_form(rows().to(next(model.parameters()).dtype))
    coupling = find_coupling(model, inputs)
    return Trial(model, inputs, coupling, **more), coupling.weights[weight][0].leaves()[0]


def plain(self, given):
    return self.second(self.first(given).relu())


@pytest.mark.parametrize("method", ["split", "zero_outgoing", "duplicate", "pad"])
def test_a_plain_place_grows_and_shrinks_and_the_model_is_left_as_it_was(method):
    model = Of(plain).train()
    before = copy.deepcopy(model.state_dict())
    trial, leaf = trial_of(model)
    assert trial.grows(leaf, method)
    assert trial.shrinks(leaf)
    assert model.training
    assert model.first.out_features == 6
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_size_that_the_model_computes_with_is_too_far_from_rounding():
    model = Block(power=0.5)
    trial, leaf = trial_of(model, "up.weight")
    assert not trial.grows(leaf, "split")
    assert not trial.is_near
    # That one goes, no output tells from the shapes: this is what growing is tried for.
    assert trial.shrinks(leaf)


def test_a_little_more_than_rounding_is_near():
    """The outputs move by 1e-4 of their size: no number beside the weights would mend that."""

    def forward(self, given):
        hidden = self.first(given)
        return self.second(hidden) * (1 + 2e-5 * hidden.shape[-1])

    trial, leaf = trial_of(Of(forward))
    assert not trial.grows(leaf, "split")
    assert trial.is_near
    loosely, leaf = trial_of(Of(forward), loosely=True)
    assert loosely.grows(leaf, "split")


def test_a_mistake_behind_a_layer_that_starts_at_zero_is_seen():
    model = nn.Sequential(Block(power=0.5), nn.Linear(4, 3)).double()
    nn.init.zeros_(model[1].weight)
    trial, leaf = trial_of(model, "0.up.weight")
    assert torch.equal(model(rows().double()), model[1].bias.expand(3, 3))
    assert not trial.grows(leaf, "split")


def test_another_way_through_the_modules_is_not_the_same():
    def forward(self, given):
        hidden = self.first(given)
        if hidden.shape[-1] != 6:
            self.spare(given[:, [0, 1, 2, 3, 0, 1]])
        return self.second(hidden)

    trial, leaf = trial_of(Of(forward))
    assert not trial.grows(leaf, "split")
    assert trial.is_near


def test_what_raises_neither_grows_nor_shrinks_and_a_number_mends_it():
    model = Block(size=6)
    trial, leaf = trial_of(model, "up.weight")
    assert not trial.grows(leaf, "split")
    assert not trial.is_near
    assert not trial.shrinks(leaf)
    number = SizeAttribute(module="", path="size", units=1, constant=0)
    assert trial.grows(leaf, "split", [number])
    assert trial.shrinks(leaf, [number])
    assert model.size == 6


def test_outputs_of_another_shape_are_not_what_it_gave():
    def forward(self, given):
        hidden = self.first(given)
        return self.second(hidden)[:, : 3 if hidden.shape[-1] >= 6 else 2]

    trial, leaf = trial_of(Of(forward))
    assert trial.grows(leaf, "split")
    assert not trial.shrinks(leaf)


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_too_little_memory_is_no_answer(error):
    """Else a place would be missing on a small machine, and nobody would know why."""

    def forward(self, given):
        hidden = self.first(given)
        if hidden.shape[-1] != 6:
            raise error("no room")
        return self.second(hidden)

    model = Of(forward)
    trial, leaf = trial_of(model)
    with pytest.raises(error, match="no room"):
        trial.grows(leaf, "split")
    assert model.first.out_features == 6


class Settings:
    def __init__(self):
        self._attn_implementation = "sdpa"


def test_only_a_model_that_chooses_fused_attention_is_run_in_another_way():
    trial, _ = trial_of(Of(plain))
    assert trial.otherwise is None


def test_the_other_way_of_attention_reads_other_numbers():
    def forward(self, given):
        hidden = self.first(given)
        if self.config._attn_implementation == "eager":
            hidden = hidden.view(len(given), 6)
        return self.second(hidden)

    model = Of(forward)
    model.config = Settings()
    trial, leaf = trial_of(model)
    assert trial.grows(leaf, "split")
    assert not trial.otherwise.grows(leaf, "split")
    assert model.config._attn_implementation == "sdpa"


def test_a_model_that_cannot_run_in_the_other_way_has_none():
    def forward(self, given):
        if self.config._attn_implementation == "eager":
            raise ValueError("only fused")
        return plain(self, given)

    model = Of(forward)
    model.config = Settings()
    trial, leaf = trial_of(model)
    assert trial.otherwise is None
    assert trial.grows(leaf, "split")
    assert model.config._attn_implementation == "sdpa"
