"""Mutate a module: another form, the same outputs."""

__all__ = ["mutate"]

from dataclasses import replace
from typing import Any

from torch import nn

from outgrow.errors import InputError, nearest_names
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.edits.operation import make_edit
from outgrow.evolve.edits.promise import Promised
from outgrow.evolve.errors import SiteNotFound, SiteRefused
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.flow.insertion import site_and_inputs, width_of
from outgrow.evolve.flow.mutating import ACTIVATIONS, MUTATIONS, Mutation, possible_mutations
from outgrow.evolve.flow.recording import record_flow
from outgrow.evolve.flow.trial import try_insertion
from outgrow.evolve.operators.width_arguments import whole_number
from outgrow.evolve.sites.site import Site


def mutate(
    model: nn.Module,
    site: Site | str,
    method: str | None = None,
    *,
    optimizer: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    example_inputs: Any = None,
    kernel_size: int | None = None,
    to: str | None = None,
    allow: str = "exact",
    bound: float = 0.05,
) -> Edit:
    """Give a module another form, in place: a larger kernel, one group, a slope that learns.

    Args:
        model: changed in place.
        site: from `sites(model, example_inputs, kind="mutate")`, or its name.
        method: one of `site.methods`, by default the first of them; `activation` is lossy and must be named.
        optimizer: of the model; moments follow, but those of a convolution whose groups go begin anew.
        scheduler: of the optimizer.
        ema: an `AveragedModel` of the model.
        example_inputs: what the model is called with; by default what the site was found with.
        kernel_size: for `kernel`: the new size, larger by an even number; by default by two.
        to: for `activation`: a key of `ACTIVATIONS`.
        allow: the weakest promise that is allowed; `activation` needs `lossy`.
        bound: the relative change of the outputs up to which `bounded` holds.

    Raises:
        InputError: an argument cannot be.
        SiteNotFound: there is no such site.
        SiteRefused: the module cannot take that form.
        NotExact: it would be lossy, and that is not allowed.
    """
    name, inputs = site_and_inputs(site, example_inputs)
    if method is not None and method not in MUTATIONS:
        near = nearest_names(str(method), MUTATIONS)
        raise InputError(
            f"method={method!r} is none",
            hint=f"known: {', '.join(MUTATIONS)}" + (f"; did you mean {near[0]!r}?" if near else ""),
        )
    is_lossy = method == "activation"
    promised = Promised(allow=allow, claim="lossy" if is_lossy else "exact", bound=bound)
    size = None if kernel_size is None else whole_number(kernel_size, "kernel_size")
    inner = unwrapped(model)
    change = _activation(inner, name, inputs, to) if is_lossy else _exact(inner, name, inputs, method, size)

    return make_edit(
        model,
        inputs,
        change.apply,
        operator="mutate",
        site=name,
        arguments={
            "method": change.method,
            "kernel_size": change.kernel_size or None,
            "to": change.to or None,
        },
        promised=promised,
        followers=Followers(optimizer=optimizer, scheduler=scheduler, ema=ema),
    )


def _exact(
    model: nn.Module, name: str, inputs: ExampleInputs, method: str | None, size: int | None
) -> Mutation:
    flow = record_flow(model, inputs)
    claims = possible_mutations(model, inputs, flow)
    here = [one for one in claims if one.name == name]
    if not here:
        near = nearest_names(name, [one.name for one in claims])
        raise SiteNotFound(
            f"no site to mutate is called {name!r}",
            hint=f"nearest: {', '.join(near)}" if near else "this model has no site to mutate",
        )
    if method is None:
        method = next((one for one in MUTATIONS if any(own.method == one for own in here)), "")
    found = next((one for one in here if one.method == method), None)
    if found is None:
        can = ", ".join(repr(one.method) for one in here)
        raise SiteRefused(f"{name!r} cannot take the form {method!r}", hint=f"there it can: {can}")
    if size is not None:
        now = found.kernel_size - 2
        if method != "kernel" or size <= now or (size - now) % 2:
            raise SiteRefused(
                f"kernel_size={size} cannot be at {name!r}",
                hint=f"it goes with method='kernel', from {now} on in steps of two"
                if method == "kernel"
                else "it goes with method='kernel'",
            )
        found = replace(found, kernel_size=size)
    refused = try_insertion(model, inputs, flow, found).refused
    if refused:
        raise SiteRefused(
            f"{name!r} cannot take the form {method!r}: {refused}",
            hint="evolve.sites(model, example_inputs, kind='mutate') lists what can be done",
        )
    return found


def _activation(model: nn.Module, name: str, inputs: ExampleInputs, to: str | None) -> Mutation:
    if to not in ACTIVATIONS:
        raise InputError(f"to={to!r} is no activation", hint=f"known: {', '.join(ACTIVATIONS)}")
    known = {one: module for one, module in model.named_modules() if isinstance(module, (*_KINDS,))}
    if name not in known:
        near = nearest_names(name, known)
        raise SiteNotFound(
            f"no activation is called {name!r}",
            hint=f"nearest: {', '.join(near)}" if near else "this model has no activation that is a module",
        )
    calls = record_flow(model, inputs).calls_of(name)
    if not calls or not calls[0].gave:
        raise SiteRefused(f"{name!r} does not run for these inputs", hint="give other example_inputs")
    return Mutation(name=name, method="activation", width=width_of(calls[0].gave[0]), to=to)


_KINDS = tuple(kind for kind in ACTIVATIONS.values() if isinstance(kind, type))
