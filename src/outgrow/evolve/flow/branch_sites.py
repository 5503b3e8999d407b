"""Where a second way can be inserted beside a module."""

__all__ = ["branch_sites", "decide_branch"]

from dataclasses import replace

from torch import nn

from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.errors import SiteRefused
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.flow.branching import Branch, find_branches
from outgrow.evolve.flow.kinds import tried_by_kind
from outgrow.evolve.flow.recording import Flow, record_flow
from outgrow.evolve.flow.trial import try_insertion
from outgrow.evolve.sites.lookup import look_up
from outgrow.evolve.sites.site import Site


def branch_sites(model: nn.Module, inputs: ExampleInputs) -> list[Site]:
    """The modules beside which a second way can be inserted; one of each kind was tried."""
    model = unwrapped(model)
    flow = record_flow(model, inputs)
    return [
        _site(one, inputs)
        for one in tried_by_kind(
            model,
            find_branches(model, flow),
            lambda one: one.name,
            lambda one: not _tried(model, inputs, flow, one),
        )
    ]


def decide_branch(
    model: nn.Module, name: str, inputs: ExampleInputs, *, width: int | None, seed: int
) -> Branch:
    """The insertion at a site, tried.

    Raises:
        SiteNotFound: nothing of this name is there.
        SiteRefused: it is there, and there can be no branch.
    """
    flow = record_flow(model, inputs)
    known = {one.name: one for one in find_branches(model, flow)}
    if name not in known:
        if any(call.name == name for call in flow.calls):
            raise _refused(name, "it has no weights, or gives another number of positions than it gets")
        look_up([_site(one, inputs) for one in known.values()], name, "branch")
    found = known[name]
    change = replace(found, hidden=width or _default(found), seed=seed)
    why = _tried(model, inputs, flow, change)
    if why:
        raise _refused(name, why)
    return change


def _default(found: Branch) -> int:
    return max(4, found.channels_out // 4)


def _site(found: Branch, inputs: ExampleInputs) -> Site:
    width = found.channels_out
    return Site(name=found.name, kind="branch", width=width, step=width, methods=("parallel",), inputs=inputs)


def _tried(model: nn.Module, inputs: ExampleInputs, flow: Flow, found: Branch) -> str:
    whole = replace(found, hidden=found.hidden or _default(found))
    return try_insertion(model, inputs, flow, whole).refused


def _refused(name: str, why: str) -> SiteRefused:
    return SiteRefused(
        f"there can be no branch beside {name!r}: {why}",
        hint="evolve.sites(model, example_inputs, kind='branch') lists the places where it can be done",
    )
