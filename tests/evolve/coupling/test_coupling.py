"""What a model's coupling says of its leaves: where they occur, what fixes them, which norm looks at them."""

import contextlib

import pytest
import torch
from torch import nn

from outgrow.evolve.coupling.constrained import constrained_weights
from outgrow.evolve.coupling.coupling import Occurrence, every_op_of_its_own, find_coupling
from outgrow.evolve.coupling.norms import Norm
from outgrow.evolve.coupling.unreached import may_belong_to
from outgrow.evolve.errors import CannotCheck
from outgrow.evolve.example_inputs import call_form


class Block(nn.Module):
    """Two layers and two norms; a buffer, a layer for training, a layer that nothing uses, tied weights."""

    def __init__(self):
        super().__init__()
        self.up, self.norm, self.second = nn.Linear(4, 6), nn.LayerNorm(6), nn.RMSNorm(6, eps=1e-5)
        self.down, self.extra, self.never = nn.Linear(6, 4), nn.Linear(6, 3), nn.Linear(6, 5)
        self.tied = nn.Linear(4, 6, bias=False)
        self.tied.weight = self.up.weight
        self.register_buffer("scale", torch.ones(6))

    def forward(self, x):
        h = self.second(self.norm(self.up(x))).relu() * self.scale
        y = self.down(h + self.tied(x))
        return (y, self.extra(h)) if self.training else y


def coupled(model, *inputs):
    return find_coupling(model, call_form(inputs))


def leaf_of(coupling, weight, dim=0):
    (leaf,) = coupling.weights[weight][dim].leaves()
    return leaf


def occurrence(weight, dim, *roles):
    return Occurrence(weight=weight, dim=dim, roles=frozenset(roles))


def test_a_leaf_occurs_in_every_weight_that_changes_with_it():
    torch.manual_seed(0)
    model = Block().eval()
    coupling = coupled(model, torch.randn(2, 4))
    units = leaf_of(coupling, "up.weight")
    assert coupling.occurrences(units) == [
        occurrence("up.weight", 0, "out"),
        occurrence("up.bias", 0, "out"),
        occurrence("norm.weight", 0, "out"),
        occurrence("norm.bias", 0, "out"),
        occurrence("second.weight", 0, "out"),
        occurrence("down.weight", 1, "in"),
        occurrence("extra.weight", 1, "in"),
        occurrence("scale", 0, "out"),
    ]
    assert coupling.why_frozen(units) is None
    assert coupling.why_frozen(leaf_of(coupling, "up.weight", 1)) == "comes from the inputs"
    assert coupling.why_frozen(leaf_of(coupling, "down.weight")) == "is part of what the model gives"
    assert coupling.why_frozen(leaf_of(coupling, "extra.weight")) == "is part of what the model gives"
    never = leaf_of(coupling, "never.weight")
    assert coupling.occurrences(never) == [occurrence("never.weight", 0, "out")]
    assert coupling.unreached == {"never.weight", "never.bias"}
    assert set(coupling.tensors()) == {*dict(model.named_parameters()), "scale"}
    assert coupling.leaves[0] is leaf_of(coupling, "up.weight", 1)  # in the order of their first use
    assert len({id(leaf) for leaf in coupling.leaves}) == len(coupling.leaves) == 7
    assert not model.training


def test_uses_are_those_of_the_leaf_in_order():
    coupling = coupled(Block().eval(), torch.randn(2, 4))
    units = leaf_of(coupling, "up.weight")
    uses = coupling.uses(units)
    assert uses == [use for use in coupling.all_uses if use.extent.leaves() == [units]]
    evaluated = [(use.weight, use.dim, use.role, use.module) for use in uses[:7]]
    assert evaluated == [
        ("up.weight", 0, "out", "up"),
        ("up.bias", 0, "out", "up"),
        ("norm.weight", 0, "out", "norm"),
        ("norm.bias", 0, "out", "norm"),
        ("second.weight", 0, "out", "second"),
        ("scale", 0, "out", ""),
        ("up.weight", 0, "out", "tied"),
    ]
    assert coupling.uses(leaf_of(coupling, "never.weight")) == []


def test_norms_along_a_leaf_are_named_and_recognised():
    coupling = coupled(Block().eval(), torch.randn(2, 4))
    units, outputs = leaf_of(coupling, "up.weight"), leaf_of(coupling, "down.weight")
    assert coupling.reduced_by(units) == {"norm", "second"}
    assert coupling.norms(units) == (
        Norm(module="norm", kind="mean"),
        Norm(module="second", kind="rms", weight="second.weight", eps_attribute="eps", eps=1e-5),
    )
    assert coupling.norms(units) is coupling.norms(units)
    assert (coupling.reduced_by(outputs), coupling.norms(outputs)) == (frozenset(), ())


def test_what_holds_for_a_whole_holds_for_its_parts_in_the_weights():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.down = nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x):
            h = self.up(x).softmax(-1).view(-1, 2, 3)
            return self.down(h.flatten(1))

    coupling = coupled(Heads(), torch.randn(2, 4))
    heads, width = coupling.weights["up.weight"][0].leaves()
    assert (heads.size, width.size) == (2, 3)
    assert coupling.reduced_by(heads) == coupling.reduced_by(width) == {""}


def test_units_that_are_multiplied_by_themselves_are_fixed_and_their_neighbours_are_not():
    class Pairs(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.other, self.down = nn.Linear(4, 3), nn.Linear(4, 2), nn.Linear(18, 2)

        def forward(self, x):
            h = self.up(x)
            pairs = (h[:, :, None] * h[:, None, :]).flatten(1)
            return self.down((pairs[:, :, None] * self.other(x)[:, None, :]).flatten(1))

    coupling = coupled(Pairs(), torch.randn(2, 4))
    assert coupling.why_frozen(leaf_of(coupling, "up.weight")) == "is multiplied by itself"
    assert coupling.why_frozen(leaf_of(coupling, "other.weight")) is None


def test_constrained_weights_say_what_they_are_held_to():
    parametrizations = nn.utils.parametrizations
    model = nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(4, 6)),
        parametrizations.orthogonal(nn.Linear(6, 6)),
        nn.utils.spectral_norm(nn.Linear(6, 3)),
        parametrizations.weight_norm(nn.Linear(3, 2)),
    )
    spectral = "is divided by its largest singular value (spectral norm), which any other size changes"
    orthogonal = "is orthogonal, which it would not be with copied units"
    found = constrained_weights(model)
    assert {name: why for name, why in found.items() if name.startswith("1.")} == dict.fromkeys(
        [
            name
            for name in dict([*model.named_parameters(), *model.named_buffers()])
            if name.startswith("1.par")
        ],
        orthogonal,
    )
    assert {name: why for name, why in found.items() if not name.startswith("1.")} == dict.fromkeys(
        [
            "0.parametrizations.weight.original",
            "0.parametrizations.weight.0._u",
            "0.parametrizations.weight.0._v",
            "2.weight_orig",
            "2.weight_u",
            "2.weight_v",
        ],
        spectral,
    )
    alone = nn.utils.spectral_norm(nn.Linear(3, 2))
    assert set(constrained_weights(alone)) == {"weight_orig", "weight_u", "weight_v"}


def test_a_constrained_weight_is_fixed_for_its_reason():
    model = nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(4, 6)), nn.Linear(6, 3))
    coupling = coupled(model, torch.randn(2, 4))
    (name,) = [name for name in coupling.weights if name.endswith("original")]
    reasons = {coupling.why_frozen(leaf) for leaf in coupling.weights[name][0].leaves()}
    assert reasons == {"0.parametrizations.weight.0 keeps a triangle of it"}  # what came first


@pytest.mark.parametrize(
    ("width", "inside", "found"),
    [(6, True, "block.spare.weight"), (6, False, None), (7, True, None)],
    ids=["of-its-size-and-place", "elsewhere", "of-another-size"],
)
def test_a_weight_that_nothing_used_may_belong_to_a_leaf_of_its_size_and_place(width, inside, found):
    block = nn.Module()
    block.up, block.down = nn.Linear(4, 6), nn.Linear(6, 5)
    model = nn.Module()
    model.block, model.head = block, nn.Linear(5, 2)
    (block if inside else model).spare = nn.Linear(width, 9)
    model.forward = lambda x: model.head(block.down(block.up(x).relu()))
    coupling = coupled(model, torch.randn(2, 4))
    assert may_belong_to(model, coupling, leaf_of(coupling, "block.up.weight")) == found


def test_where_everything_is_used_nothing_may_belong():
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    coupling = coupled(model, torch.randn(2, 4))
    assert coupling.unreached == frozenset()
    assert may_belong_to(model, coupling, leaf_of(coupling, "0.weight")) is None


def test_parts_of_a_dim_count_as_its_size_for_what_nothing_used():
    """A fused layer of three parts: what stands beside it may have the size of one part or of all."""

    class Fused(nn.Module):
        def __init__(self, spare):
            super().__init__()
            self.up, self.down, self.spare = nn.Linear(4, 6), nn.Linear(2, 3), nn.Linear(1, spare)

        def forward(self, x):
            one, two, three = self.up(x).chunk(3, -1)
            return self.down(one * two + three)

    for spare, found in ((6, "spare.weight"), (2, "spare.weight"), (4, None)):
        model = Fused(spare)
        coupling = coupled(model, torch.randn(2, 4))
        (leaf,) = set(coupling.weights["up.weight"][0].leaves())
        assert may_belong_to(model, coupling, leaf) == found


def test_what_only_train_mode_fails_at_couples_nothing():
    class Picky(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.down, self.extra = nn.Linear(4, 6), nn.Linear(6, 2), nn.Linear(6, 2)

        def forward(self, x):
            if self.training:
                raise RuntimeError("not here")
            return self.down(self.up(x))

    model = Picky()
    coupling = coupled(model, torch.randn(2, 4))
    assert coupling.unreached == {"extra.weight", "extra.bias"}
    assert coupling.why_frozen(leaf_of(coupling, "up.weight")) is None
    assert model.training


def test_what_gives_no_tensor_is_refused_with_what_it_gives():
    class Silent(nn.Module):
        def forward(self, x):
            return "text"

    with pytest.raises(CannotCheck) as caught:
        coupled(Silent(), torch.randn(2, 4))
    assert "Silent gives no tensor for these inputs but str" in str(caught.value)
    assert (
        caught.value.hint
        == "what it gives has to hold tensors: alone, or in tuples, lists, dicts or dataclasses"
    )


@pytest.mark.parametrize("was_enabled", [True, False])
def test_fused_layers_are_allowed_again_afterwards(was_enabled):
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(was_enabled)
    try:
        with contextlib.suppress(ValueError), every_op_of_its_own():
            assert not torch.backends.mha.get_fastpath_enabled()
            raise ValueError("on purpose")
        assert torch.backends.mha.get_fastpath_enabled() is was_enabled
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
