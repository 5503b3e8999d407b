"""Widen a site: more channels, the same outputs."""

__all__ = ["widen"]

from typing import Any

import torch
from torch import nn

from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.edits.operation import make_edit
from outgrow.evolve.edits.promise import Promised
from outgrow.evolve.operators.width_arguments import (
    check_seed,
    chosen_method,
    copied_units,
    new_units,
    refuse_unfit_weights,
)
from outgrow.evolve.sites.site import Site
from outgrow.evolve.sites.width_sites import find_place
from outgrow.evolve.surgery.width import Units, change_width


def widen(
    model: nn.Module,
    site: Site | str,
    by: int,
    *,
    optimizer: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    example_inputs: Any = None,
    method: str | None = None,
    seed: int = 0,
    allow: str = "exact",
    bound: float = 0.05,
) -> Edit:
    """Give a site `by` more channels, in place, without moving the outputs beyond rounding.

    Weights keep their dtype, device, memory format, `requires_grad` and identity.

    Args:
        model: changed in place.
        site: from `sites(model, example_inputs, kind="widen")`, or its name.
        by: channels of `site.name`'s output, a multiple of `site.step`; for `duplicate` of `site.width`.
        optimizer: of the model; its moments follow.
        scheduler: of the optimizer.
        ema: an `AveragedModel` of the model.
        example_inputs: what the model is called with; by default what the site was found with.
        method: one of `site.methods`, by default the first of them.
        seed: of everything random: the same seed gives the same weights on every device.
        allow: the weakest promise that is allowed, `exact`, `bounded` or `lossy`.
        bound: the relative change of the outputs up to which `bounded` holds.

    Raises:
        InputError: `by`, `seed`, `allow` or `bound` cannot be.
        SiteNotFound: there is no such site.
        SiteRefused: it cannot grow so.
        NotExact: the outputs would have moved further than is allowed.
        CannotCheck: the outputs for these inputs cannot be compared.
    """
    promised = Promised(allow=allow, bound=bound)
    drawn_from = check_seed(seed)
    place = find_place(unwrapped(model), site, "widen", example_inputs)
    found, leaf, coupling = place.site, place.leaf, place.coupling
    chosen = chosen_method(found, method)
    units = new_units(found, leaf.size, by, chosen)
    refuse_unfit_weights(unwrapped(model), found, grows=True)
    sources = torch.cat([torch.arange(leaf.size), copied_units(leaf.size, units, chosen, drawn_from)])
    norms = coupling.norms(leaf) if chosen in ("duplicate", "pad") else ()
    change = Units(sources=sources, kept=leaf.size, method=chosen, seed=drawn_from)
    return make_edit(
        model,
        place.inputs,
        lambda surgery: change_width(surgery, coupling, leaf, change, found.attributes, norms),
        operator="widen",
        site=found.name,
        arguments={"by": units * found.unit_width, "method": chosen, "seed": drawn_from},
        promised=promised,
        followers=Followers(optimizer=optimizer, scheduler=scheduler, ema=ema),
    )
