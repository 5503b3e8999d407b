"""Which site a name means."""

import pytest

from outgrow.evolve.errors import SiteNotFound
from outgrow.evolve.sites.lookup import look_up
from outgrow.evolve.sites.site import Site


def site(name, *also):
    return Site(name=name, kind="widen", width=4, step=1, methods=("split",), also=also)


KNOWN = [site("up", "gate"), site("gate"), site("query", "key", "value"), site("other", "value")]


def test_a_name_of_its_own_goes_before_the_same_name_of_another():
    assert look_up(KNOWN, "gate", "widen") is KNOWN[1]


def test_another_maker_of_the_same_units_means_the_site():
    assert look_up(KNOWN, "key", "widen") is KNOWN[2]


def test_what_two_sites_go_by_is_refused_with_both():
    with pytest.raises(SiteNotFound, match="'value' belongs to several sites") as caught:
        look_up(KNOWN, "value", "widen")
    assert caught.value.hint == "name one of query, other"


@pytest.mark.parametrize(
    ("known", "name", "hint"),
    [
        ([], "up", "this model has no site to widen"),
        (KNOWN, "quary", "nearest: query"),
        (KNOWN, "kez", "nearest: key"),
        (KNOWN, "xyz/123", "evolve.sites(model, example_inputs) lists them all"),
    ],
    ids=["none", "name", "also", "far"],
)
def test_a_name_that_is_not_there_says_what_to_do(known, name, hint):
    with pytest.raises(SiteNotFound, match=f"no site to widen is called '{name}'") as caught:
        look_up(known, name, "widen")
    assert caught.value.hint == hint
