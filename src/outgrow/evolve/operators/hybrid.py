"""Exchange units of a site: some go and others come, in one edit."""

__all__ = ["hybrid"]

from typing import Any

import torch
from torch import nn

from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.edits.operation import make_edit
from outgrow.evolve.edits.promise import Promised
from outgrow.evolve.errors import SiteRefused
from outgrow.evolve.operators.prune import chosen_units, pruning_promise
from outgrow.evolve.operators.twins import free_units
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


def hybrid(
    model: nn.Module,
    site: Site | str,
    by: int,
    indices: Any = None,
    amount: int | float | None = None,
    *,
    score: Any = "magnitude",
    optimizer: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    example_inputs: Any = None,
    method: str | None = None,
    seed: int = 0,
    allow: str = "lossy",
    bound: float = 0.05,
) -> Edit:
    """Take units away and give the site `by` more channels, in place, in one change with one promise.

    Equal numbers exchange weak units for copies of the others at no cost. The new units begin by `split` or
    `zero_outgoing`, from the units that stay; which units go is decided as `prune` does, and so is the
    promise: growth is exact, what goes may not be.

    Args:
        model: changed in place.
        site: from `sites(model, example_inputs)`, or its name.
        by: channels that come, a multiple of `site.step`.
        indices: which units go, numbered as before the change; or
        amount: how much goes, as for `prune`.
        score: what decides with `amount`, as `by` of `prune`.
        optimizer: of the model; its moments follow.
        scheduler: of the optimizer.
        ema: an `AveragedModel` of the model.
        example_inputs: what the model is called with; by default what the site was found with.
        method: `split` or `zero_outgoing`, by default the first that the site has.
        seed: of everything random.
        allow: the weakest promise that is allowed.
        bound: the relative change of the outputs up to which `bounded` holds.

    Raises:
        InputError: an argument cannot be.
        SiteNotFound: there is no such site.
        SiteRefused: nothing would be left, or the change cannot be made there.
        NotExact: the outputs would have moved further than is allowed.
        CannotCheck: the outputs for these inputs cannot be compared.
    """
    promised = Promised(allow=allow, bound=bound)
    drawn_from = check_seed(seed)
    inner = unwrapped(model)
    place = find_place(inner, site, "widen", example_inputs)
    found, leaf, coupling = place.site, place.leaf, place.coupling
    chosen = chosen_method(found, method)
    if chosen not in ("split", "zero_outgoing"):
        raise SiteRefused(
            f"{found.name!r} grows by {chosen!r}, which needs all of its units",
            hint="prune and widen it one after the other",
        )
    units = new_units(found, leaf.size, by, chosen)
    gone = chosen_units(inner, found, coupling, leaf, indices, amount, by=score, seed=drawn_from)
    refuse_unfit_weights(inner, found, grows=True)
    kept = torch.tensor([unit for unit in range(leaf.size) if unit not in gone])
    free = free_units(inner, coupling, leaf, gone)
    promised = pruning_promise(found, promised, is_exact=free.covers(gone))
    copied = kept[copied_units(len(kept), units, chosen, drawn_from)]
    change = Units(
        sources=torch.cat([kept, copied]),
        kept=len(kept),
        method=chosen,
        merged=free.merged,
        seed=drawn_from,
    )
    return make_edit(
        model,
        place.inputs,
        lambda surgery: change_width(surgery, coupling, leaf, change, found.attributes),
        operator="hybrid",
        site=found.name,
        arguments={
            "by": units * (found.width // leaf.size),
            "indices": sorted(gone),
            "method": chosen,
            "seed": drawn_from,
        },
        promised=promised,
        followers=Followers(optimizer=optimizer, scheduler=scheduler, ema=ema),
    )
