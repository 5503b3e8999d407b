"""Branch: a second way beside a module, the same outputs."""

__all__ = ["branch", "branch_sites"]

from dataclasses import replace
from typing import Any

from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.edit import Edit
from outgrow.evolve.errors import SiteRefused
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.flow.branching import Branch, find_branches
from outgrow.evolve.flow.insertion import site_and_inputs
from outgrow.evolve.flow.kinds import tried_by_kind
from outgrow.evolve.flow.recording import Flow, record_flow
from outgrow.evolve.flow.trial import try_insertion
from outgrow.evolve.followers import Followers
from outgrow.evolve.operation import make_edit
from outgrow.evolve.operators.width_arguments import check_seed, whole_number
from outgrow.evolve.promise import Promised
from outgrow.evolve.site import Site
from outgrow.evolve.site_lookup import look_up
from outgrow.evolve.surgery import Surgery


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


def branch(
    model: nn.Module,
    site: Site | str,
    width: int | None = None,
    *,
    optimizer: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    example_inputs: Any = None,
    seed: int = 0,
    allow: str = "exact",
    bound: float = 0.05,
) -> Edit:
    """Make `f(x)` into `f(x) + g(x)`, in place, where `g` begins at zero: the outputs stay.

    `g` is a layer to `width` channels (for a convolution one with the same kernel, stride and padding, for
    anything else one that looks at single positions), a ReLU, and a layer of zeros, which learns at once;
    what is before it from the second step on. The module becomes a `Branched`: `conv1.weight` is then called
    `conv1.trunk.weight`, and attributes are still found (`conv1.out_channels`). New weights are trainable,
    whatever those beside them are.

    Args:
        model: changed in place.
        site: from `sites(model, example_inputs, kind="branch")`, or its name.
        width: channels within the branch; by default a quarter of what the module gives, at least one.
        optimizer: of the model; new weights join the group of the module's first weight.
        scheduler: of the optimizer.
        ema: an `AveragedModel` of the model.
        example_inputs: what the model is called with; by default what the site was found with.
        seed: of what the first layer begins with: the same on every device.
        allow: the weakest promise that is allowed.
        bound: the relative change of the outputs up to which `bounded` holds.

    Raises:
        InputError: `width`, `seed`, `allow` or `bound` cannot be.
        SiteNotFound: there is no such site.
        SiteRefused: there can be no branch.
        CannotCheck: the outputs for these inputs cannot be compared.
    """
    promised = Promised(allow=allow, bound=bound)
    drawn_from = check_seed(seed)
    name, inputs = site_and_inputs(site, example_inputs)
    hidden = None if width is None else whole_number(width, "width")
    if hidden is not None and hidden < 1:
        raise InputError(f"width={hidden}: a branch needs channels", hint="give a number above 0")
    inner = unwrapped(model)
    flow = record_flow(inner, inputs)
    known = {one.name: one for one in find_branches(inner, flow)}
    if name not in known:
        if any(call.name == name for call in flow.calls):
            raise _refused(name, "it has no weights, or gives another number of positions than it gets")
        look_up([_site(one, inputs) for one in known.values()], name, "branch")
    found = known[name]
    change = replace(found, hidden=hidden or _default(found), seed=drawn_from)
    why = _tried(inner, inputs, flow, change)
    if why:
        raise _refused(name, why)

    def apply(surgery: Surgery) -> None:
        change.apply(surgery)

    return make_edit(
        model,
        inputs,
        apply,
        operator="branch",
        site=name,
        arguments={"width": change.hidden, "seed": drawn_from},
        promised=promised,
        followers=Followers(optimizer=optimizer, scheduler=scheduler, ema=ema),
    )


def _default(found: Branch) -> int:
    return max(1, found.channels_out // 4)


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
