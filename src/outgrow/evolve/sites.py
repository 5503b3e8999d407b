"""Find the places where a model can change."""

__all__ = ["find_site", "leaf_of", "sites"]

from typing import Any

from torch import nn

from outgrow.errors import nearest_names
from outgrow.evolve.coupling.coupling import Coupling, find_coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.errors import SiteNotFound
from outgrow.evolve.example_inputs import ExampleInputs, call_form
from outgrow.evolve.site import Coupled, Site


def sites(model: nn.Module, example_inputs: Any, kind: str = "widen") -> list[Site]:
    """The places where `model` can be widened without moving its outputs."""
    inputs = call_form(example_inputs)
    coupling = find_coupling(model, inputs)
    return [site for leaf in coupling.leaves if (site := _site(coupling, leaf, inputs)) is not None]


def _site(coupling: Coupling, leaf: Extent, inputs: ExampleInputs) -> Site | None:
    if coupling.why_frozen(leaf) or coupling.reduced_by(leaf) or leaf.size == 1:
        return None
    places = coupling.occurrences(leaf)
    if not any("in" in place.roles for place in places) or any(len(place.roles) > 1 for place in places):
        return None
    makers = [use for use in coupling.uses(leaf) if use.role == "out"]
    first = makers[0]
    assert first.dim is not None
    extent = coupling.weights[first.weight][first.dim]
    copies = sum(one is leaf for one in extent.leaves())
    inner = 1
    for factor in extent.factors():
        if leaf not in factor.leaves():
            inner *= factor.find().size
    modules = list(dict.fromkeys(use.weight.rpartition(".")[0] for use in makers))
    return Site(
        name=modules[0],
        kind="widen",
        width=leaf.size * inner * copies,
        step=inner * copies,
        methods=("split", "zero_outgoing"),
        coupled=tuple(
            Coupled(weight=place.weight, dim=place.dim, role=next(iter(place.roles))) for place in places
        ),
        also=tuple(modules[1:]),
        inputs=inputs,
    )


def find_site(
    model: nn.Module, site: Site | str, kind: str, example_inputs: Any
) -> tuple[Site, ExampleInputs]:
    """The site of this name as it is now, and what to call the model with."""
    name = site if isinstance(site, str) else site.name
    given = example_inputs if isinstance(site, str) or example_inputs is not None else site.inputs
    inputs = call_form(given)
    known = sites(model, inputs, kind)
    for one in known:
        if one.name == name or name in one.also:
            return one, inputs
    near = nearest_names(name, [one.name for one in known])
    raise SiteNotFound(
        f"no site to {kind} is called {name!r}",
        hint=f"nearest: {', '.join(near)}" if near else "evolve.sites(model, example_inputs) lists them all",
    )


def leaf_of(coupling: Coupling, site: Site) -> Extent:
    """The leaf of a coupling that belongs to a site of the same model."""
    wanted = {(one.weight, one.dim) for one in site.coupled}
    for leaf in coupling.leaves:
        if {
            (one.weight, one.dim) for one in coupling.occurrences(leaf)
        } == wanted and leaf.size == site.units:
            return leaf
    raise SiteNotFound(f"site {site.name!r} is no longer there", hint="call evolve.sites again")
