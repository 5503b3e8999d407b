"""The places where a model's width can change: named, tried, and found again."""

__all__ = ["WidthPlace", "find_place", "prune_sites", "widen_sites"]

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.coupling.coupling import Coupling, find_coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.size_attributes import candidate_attributes, units_and_constant
from outgrow.evolve.coupling.unreached import may_belong_to
from outgrow.evolve.errors import SiteNotFound, SiteRefused
from outgrow.evolve.example_inputs import ExampleInputs, call_form
from outgrow.evolve.sites.absence import absence_of
from outgrow.evolve.sites.lookup import look_up
from outgrow.evolve.sites.names import named_leaves
from outgrow.evolve.sites.signature import moved, signature
from outgrow.evolve.sites.site import Coupled, Site, SizeAttribute
from outgrow.evolve.sites.size_search import find_attributes
from outgrow.evolve.sites.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthPlace:
    """A site, and the leaf of one analysis that belongs to it."""

    site: Site
    """The site as it is now."""
    leaf: Extent
    """What changes its size: `site.width / leaf.size` channels each unit."""
    coupling: Coupling
    """Of which `leaf` is a part."""
    inputs: ExampleInputs
    """What the model is called with."""


def widen_sites(model: nn.Module, inputs: ExampleInputs) -> list[Site]:
    """The places that can grow without moving the outputs; of each kind, the first and the last were grown
    to see it."""
    return _listed(model, inputs, "widen")


def prune_sites(model: nn.Module, inputs: ExampleInputs) -> list[Site]:
    """The places from which units can be removed."""
    return _listed(model, inputs, "prune")


def find_place(model: nn.Module, site: Site | str, kind: str, example_inputs: Any) -> WidthPlace:
    """The site of this name as it is now, with the analysis that it comes from.

    Raises:
        SiteNotFound: there is none of this name.
        SiteRefused: there is one, and the model does not give the same when it grows.
    """
    if not isinstance(site, str | Site):
        raise InputError(f"site is a {type(site).__name__}", hint="give a Site of evolve.sites, or its name")
    name = site if isinstance(site, str) else site.name
    given = example_inputs if isinstance(site, str) or example_inputs is not None else site.inputs
    inputs = call_form(given)
    coupling = find_coupling(model, inputs)
    places = _places(model, coupling, inputs, kind)
    try:
        found = look_up([one.site for one in places], name, kind)
    except SiteNotFound as error:
        why = absence_of(model, coupling, name)
        if why is None:
            raise
        raise SiteNotFound(f"{name!r} is no site to {kind}: {why}", hint=error.hint) from error
    trial = Trial(model, inputs, coupling, loosely=kind == "prune")
    same = [one for one in places if one.site is found] + [one for one in places if name in one.site.also]
    # Where what has the name itself cannot change, it means what else goes by it, if that is one place only.
    working = ((place, now) for place in same if (now := _tried(trial, model, place)) is not None)
    place, tried = next(working, (same[0], None))
    if tried is None or (place is not same[0] and next(working, None) is not None):
        raise SiteRefused(
            f"{found.name} cannot change its width: the model does not run, or gives something else, when it "
            f"does",
            hint="a size may be written into its code as a number, or be kept where nobody looks for it",
        )
    return replace(place, site=tried)


def _listed(model: nn.Module, inputs: ExampleInputs, kind: str) -> list[Site]:
    coupling = find_coupling(model, inputs)
    places = _places(model, coupling, inputs, kind)
    if not places:
        return []
    trial = Trial(model, inputs, coupling, loosely=kind == "prune")
    alike: dict[object, list[WidthPlace]] = {}
    for place in places:
        alike.setdefault(signature(model, place.site, coupling, place.leaf), []).append(place)
    sites: dict[str, Site] = {}
    for group in alike.values():
        ends = {place.site.name: _tried(trial, model, place) for place in group[:1] + group[1:][-1:]}
        found = [site for site in ends.values() if site is not None]
        for place in group:
            name = place.site.name
            if name in ends:
                site = ends[name]
            elif not found:
                site = None
            else:
                known = found[0]
                origin = next(one.site for one in group if one.site.name == known.name)
                attributes = moved(known.attributes, origin, place.site)
                site = replace(place.site, methods=known.methods, step=known.step, attributes=attributes)
                if len(found) < len(ends):  # not all that look alike work: each is seen to, as the known one
                    site = _confirmed(trial, place, site)
            if site is not None:
                sites[name] = site
    return [sites[place.site.name] for place in places if place.site.name in sites]


def _confirmed(trial: Trial, place: WidthPlace, site: Site) -> Site | None:
    """The site with those of its methods that work with the numbers that it has; None where none does."""
    methods = tuple(method for method in site.methods if trial.grows(place.leaf, method, site.attributes))
    if methods or site.methods:
        return replace(site, methods=methods) if methods else None
    return site if trial.shrinks(place.leaf, site.attributes) else None


def _tried(trial: Trial, model: nn.Module, place: WidthPlace) -> Site | None:
    """The site with the methods that work and the numbers that they need; None where none works."""
    site, attributes, methods = place.site, None, list[str]()
    for method in site.methods:
        if attributes is not None and trial.grows(place.leaf, method, attributes):
            methods.append(method)
        elif attributes is None:
            attributes = _numbers(trial, model, place, method)
            methods += [method] if attributes is not None else []
    # Where growing should be exact and is not, the analysis has missed something: units are not what it says.
    if attributes is None and site.kind == "prune" and not site.methods:
        shrinks = partial(trial.shrinks, place.leaf)
        attributes = find_attributes(model, place.coupling, place.leaf, shrinks)
    if attributes is None:
        return None
    step = site.width if methods == ["duplicate"] and site.kind == "widen" else site.step
    return replace(site, methods=tuple(methods), attributes=attributes, step=step)


def _numbers(
    trial: Trial, model: nn.Module, place: WidthPlace, method: str
) -> tuple[SizeAttribute, ...] | None:
    """The numbers with which `method` works, and works also where attention is computed in the other way."""
    leaf, coupling = place.leaf, place.coupling
    grows = partial(trial.grows, leaf, method)
    found = find_attributes(model, coupling, leaf, grows, lambda: trial.is_near)
    if not found and (found is None or not candidate_attributes(model, coupling, leaf)):
        return found
    other = trial.otherwise
    if other is None or other.grows(leaf, method, found):
        return found

    def works(more: tuple[SizeAttribute, ...]) -> bool:
        return other.grows(leaf, method, found + more) and trial.grows(leaf, method, found + more)

    return found + (find_attributes(model, coupling, leaf, works) or ())


def _places(model: nn.Module, coupling: Coupling, inputs: ExampleInputs, kind: str) -> list[WidthPlace]:
    places = []
    for leaf, name, also in named_leaves(coupling, partial(_methods, coupling)):
        methods = _methods(coupling, leaf)
        can = bool(methods) or kind == "prune"
        if leaf.size < 2 or not can or not _can_learn(coupling, leaf, kind):
            continue
        if may_belong_to(model, coupling, leaf) is not None:
            continue
        first = next(use for use in coupling.uses(leaf) if use.role == "out" and use.dim is not None)
        assert first.dim is not None
        step, _ = units_and_constant(coupling.weights[first.weight][first.dim], leaf)
        coupled = tuple(
            Coupled(weight=place.weight, dim=place.dim, role="in" if "in" in place.roles else "out")
            for place in coupling.occurrences(leaf)
        )
        site = Site(
            name=name,
            kind=kind,
            width=leaf.size * step,
            units=leaf.size,
            step=step,
            methods=methods,
            coupled=coupled,
            also=also,
            inputs=inputs,
        )
        places.append(WidthPlace(site=site, leaf=leaf, coupling=coupling, inputs=inputs))
    return places


def _can_learn(coupling: Coupling, leaf: Extent, kind: str) -> bool:
    """Whether its weights are numbers that can be shared out, and one of them at least is trained."""
    tensors = coupling.tensors()
    parameters = [tensors[place.weight] for place in coupling.occurrences(leaf)]
    parameters = [one for one in parameters if isinstance(one, nn.Parameter)]
    if not all(one.is_floating_point() for one in parameters):
        return False
    return kind != "widen" or any(one.requires_grad for one in parameters)


def _methods(coupling: Coupling, leaf: Extent) -> tuple[str, ...]:
    """What can be exact by the arithmetic of it, the default first."""
    places = coupling.occurrences(leaf)
    if not any("in" in place.roles for place in places):
        return ()
    kinds = {norm.kind for norm in coupling.norms(leaf)}
    if not kinds:
        is_tied = any(len(place.roles) > 1 for place in places)
        return () if is_tied else ("split", "zero_outgoing")
    if kinds <= {"rms", "rms_plus_one"}:
        return ("pad", "duplicate")
    return ("duplicate",) if "other" not in kinds else ()
