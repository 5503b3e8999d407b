"""Which places are listed: what was tried of many that look alike, and what a name means then."""

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.errors import InputError
from outgrow.evolve.errors import SiteNotFound, SiteRefused
from outgrow.evolve.sites.site import SizeAttribute
from outgrow.evolve.sites.width_sites import find_place
from tests.evolve.sites.places import Beside, Block, Of, blocks, rows


def listed(model, kind="widen"):
    return {site.name: site for site in evolve.sites(model, rows(), kind=kind)}


def ups(model, kind="widen"):
    """Numbers of the blocks whose units can change."""
    return [int(name[0]) for name in listed(model, kind) if name.endswith("up")]


@pytest.mark.parametrize("kind", ["widen", "prune"])
@pytest.mark.parametrize(
    ("powers", "expected"),
    [
        ([0.0, 0.0, 0.0], [0, 1, 2]),
        ([0.5, 0.5, 0.5], []),
        ([0.0, 0.5, 0.0, 0.5], [0, 2]),
        ([0.5, 0.0, 0.5, 0.0], [1, 3]),
    ],
    ids=["all", "none", "first", "last"],
)
def test_where_the_first_and_the_last_of_a_kind_do_not_agree_each_is_tried(kind, powers, expected):
    assert ups(blocks(*({"power": power} for power in powers)), kind) == expected


def test_numbers_of_the_first_are_those_of_the_others_in_their_own_modules():
    model = blocks({"size": 6}, {"size": 6}, {"size": 6})
    found = listed(model)
    for block in range(3):
        number = SizeAttribute(module=str(block), path="size", units=1, constant=0)
        assert found[f"{block}.up"].attributes == (number,)
        assert found[f"{block}.up"].methods == ("split", "zero_outgoing")
    before = model(rows())
    evolve.widen(model, found["1.up"], by=2)
    assert [block.size for block in model] == [6, 8, 6]
    assert torch.allclose(model(rows()), before, atol=1e-6)


def test_what_only_shrinks_is_listed_for_pruning_alone():
    """A softmax over the units: nothing new leaves it as it was, and units can go."""
    model = blocks({"is_share": True}, {"is_share": True})
    assert ups(model) == []
    found = listed(model, "prune")
    assert found["0.up"].methods == found["1.up"].methods == ()
    with pytest.raises(SiteNotFound, match="computes a sum, a softmax or another statistic along it"):
        evolve.widen(model, "0.up", by=1, example_inputs=rows())


class Written(Block):
    """A number of units that is written into its code."""

    def forward(self, given):
        hidden = self.up(given).softmax(-1)
        return self.down(hidden.view(len(given), 6) if self.power else hidden)


@pytest.mark.parametrize(
    ("is_written", "expected"), [([0, 1, 0, 1], [0, 2]), ([1, 0, 0, 0], [1, 2, 3]), ([1, 1, 0, 1], [])]
)
def test_of_places_that_only_shrink_each_is_tried_where_the_ends_do_not_agree(is_written, expected):
    model = Beside(*(Written(power=float(one)) for one in is_written))
    assert ups(model, "prune") == expected


def test_numbers_that_only_the_other_way_of_attention_reads_are_found():
    class Settings:
        def __init__(self):
            self._attn_implementation = "sdpa"

    class Either(Block):
        def forward(self, given):
            hidden = self.up(given).relu()
            is_eager = self.config._attn_implementation == "eager"
            return self.down(hidden.view(len(given), self.units if is_eager else -1))

    model = Either()
    model.config, model.units, model.other = Settings(), 6, 6
    (site,) = evolve.sites(nn.Sequential(model, nn.Linear(4, 4)), rows())[:1]
    assert [one.path for one in site.attributes] == ["units"]
    # Where no number mends it, the way that is taken now is what counts.
    del model.units
    model.units = 6.0
    Either.forward = lambda self, given: self.down(
        self.up(given).relu().view(len(given), 6 if self.config._attn_implementation == "eager" else -1)
    )
    (site,) = evolve.sites(nn.Sequential(model, nn.Linear(4, 4)), rows())[:1]
    assert (site.name, site.attributes) == ("0.up", ())


@pytest.mark.parametrize("kind", ["widen", "prune"])
def test_a_place_that_does_not_work_is_refused_by_its_name(kind):
    with pytest.raises(SiteRefused, match="up cannot change its width") as caught:
        find_place(Block(power=0.5), "up", kind, rows())
    assert caught.value.hint.startswith("a size may be written into its code as a number")


def shared(self, given):
    """Units of `first` are those of `also` where they are added; `first` makes others besides."""
    return self.second((self.first(given) + self.spare(given)).relu())


def test_each_maker_of_the_units_names_the_site():
    model = Of(shared)
    model.spare = nn.Linear(4, 6)
    by_name = {name: find_place(model, name, "widen", rows()).site for name in ("first", "spare")}
    assert by_name["first"] == by_name["spare"]
    assert by_name["first"].also == ("spare",)


class Twice(nn.Module):
    """`up` makes the units of two sites: divided by their number as `powers` say, one after the other."""

    def __init__(self, *powers):
        super().__init__()
        self.down = nn.ModuleList(nn.Linear(3 + part, 2) for part in range(len(powers)))
        self.up = nn.Linear(4, sum(3 + part for part in range(len(powers))))
        self.powers, self.parts = powers, [3 + part for part in range(len(powers))]

    def forward(self, given):
        each = self.up(given).split(self.parts, -1)
        done = [
            down(part / part.shape[-1] ** power)
            for part, down, power in zip(each, self.down, self.powers, strict=True)
        ]
        return torch.stack(done).sum(0)


def test_a_name_means_the_one_site_by_that_maker_that_works():
    model = Twice(0.5, 0.0)
    found = find_place(model, "up", "widen", rows())
    assert found.site.units == 4
    assert {one.weight for one in found.site.coupled} == {"up.weight", "up.bias", "down.1.weight"}
    assert [site.units for site in evolve.sites(model, rows())] == [4]


def test_where_two_others_by_that_maker_work_the_name_means_none():
    model = Twice(0.5, 0.0, 0.0)
    assert [site.units for site in evolve.sites(model, rows())] == [4, 5]
    with pytest.raises(SiteRefused, match="up cannot change its width"):
        find_place(model, "up", "widen", rows())


def test_a_site_keeps_its_inputs_and_others_can_be_given():
    model = Block()
    (site,) = evolve.sites(model, rows())
    assert find_place(model, site, "widen", None).inputs is site.inputs
    others = find_place(model, site, "widen", rows()[:1]).inputs
    assert others.args[0].shape == (1, 4)


def test_what_is_neither_name_nor_site_is_refused():
    with pytest.raises(InputError, match="site is a int") as caught:
        find_place(Block(), 3, "widen", rows())
    assert caught.value.hint == "give a Site of evolve.sites, or its name"


def test_a_model_without_layers_has_no_place():
    model = nn.ReLU()
    assert evolve.sites(model, rows()) == evolve.sites(model, rows(), kind="prune") == []
    with pytest.raises(SiteNotFound, match="no site to widen is called 'up'") as caught:
        find_place(model, "up", "widen", rows())
    assert caught.value.hint == "this model has no site to widen"


def test_behind_a_norm_units_come_only_all_at_once():
    """Each a second time: what a LayerNorm computes stays the same then, and only then."""
    model = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3))
    (site,) = evolve.sites(model, rows())
    assert (site.methods, site.step, site.width, site.units, site.unit_width) == (("duplicate",), 6, 6, 6, 1)
    (site,) = evolve.sites(model, rows(), kind="prune")
    assert (site.methods, site.step, site.units) == (("duplicate",), 1, 6)


def test_of_the_methods_only_those_that_work_are_named():
    """One unit more is what it has room for, and not the double."""

    class Roomy(nn.Module):
        def __init__(self, room):
            super().__init__()
            self.up, self.norm, self.down = nn.Linear(4, 6), nn.RMSNorm(6), nn.Linear(6, 3)
            self.room = float(room)

        def forward(self, given):
            hidden = self.norm(self.up(given))
            if hidden.shape[-1] > self.room:
                raise ValueError("no room")
            return self.down(hidden)

    methods = {room: [site.methods for site in evolve.sites(Roomy(room), rows())] for room in (12, 8, 6)}
    assert methods == {12: [("pad", "duplicate")], 8: [("pad",)], 6: []}


def test_a_weight_of_whole_numbers_is_nowhere_shared_out():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(6, 4, dtype=torch.int8), requires_grad=False)

        def forward(self, given):
            return given @ self.weight.to(given.dtype).t()

    model = nn.Sequential(Whole(), nn.ReLU(), nn.Linear(6, 3))
    assert evolve.sites(model, rows()) == evolve.sites(model, rows(), kind="prune") == []


@pytest.mark.parametrize("kind", ["widen", "prune"])
def test_what_a_layer_that_was_not_reached_may_read_is_not_listed(kind):
    def forward(self, given):
        return self.second(self.first(given).relu())

    model = Of(forward)
    assert evolve.sites(model, rows(), kind=kind) == []
    model.spare = nn.Linear(7, 3)
    assert [site.name for site in evolve.sites(model, rows(), kind=kind)] == ["first"]


def test_a_site_says_how_many_channels_a_unit_has():
    assert evolve.sites(Block(), rows())[0].unit_width == 1


@pytest.mark.parametrize(
    ("kind", "hint"),
    [("prunes", "did you mean 'prune'? there are "), ("xyz/123", "there are ")],
    ids=["near", "far"],
)
def test_an_unknown_kind_lists_all_there_are(kind, hint):
    with pytest.raises(InputError, match=f"kind='{kind}' is nothing that can be done") as caught:
        evolve.sites(Block(), rows(), kind=kind)
    kinds = "widen, prune, deepen, branch, insert_attention, mutate"
    assert caught.value.hint == hint + kinds
