"""Prune a site: fewer units."""

__all__ = ["chosen_units", "prune"]

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.coupling.coupling import Coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.edits.operation import make_edit
from outgrow.evolve.edits.promise import Promised
from outgrow.evolve.errors import SiteRefused
from outgrow.evolve.operators.scores import scores_of
from outgrow.evolve.operators.twins import free_units
from outgrow.evolve.operators.width_arguments import check_seed, refuse_unfit_weights, whole_number
from outgrow.evolve.sites.site import Site
from outgrow.evolve.sites.width_sites import find_place
from outgrow.evolve.surgery.width import Units, change_width


def prune(
    model: nn.Module,
    site: Site | str,
    indices: Any = None,
    amount: int | float | None = None,
    *,
    by: Any = "magnitude",
    optimizer: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    example_inputs: Any = None,
    seed: int = 0,
    allow: str = "lossy",
    bound: float = 0.05,
) -> Edit:
    """Take units away from a site, in place.

    The promise of the edit is `exact` where every unit that goes weighs nothing (its outgoing weights are
    zero) or repeats, bit for bit, the incoming weights of one that stays, which then takes over its outgoing
    weights: what `widen` has just added goes so. Otherwise it is `lossy`, or with `allow="bounded"` refused
    where the outputs move by more than `bound`.

    Args:
        model: changed in place.
        site: from `sites(model, example_inputs, kind="prune")`, or its name.
        indices: which units go, numbered from 0 to `site.units - 1`; or
        amount: how much goes: channels as an int, a multiple of `site.step`, or a share of the units as a
            float between 0 and 1, rounded to whole units. Those of the lowest score go.
        by: a name in `SCORES` (`magnitude`, `taylor`, `random`), one number for each unit, or a function
            `by(model, site)` that gives them.
        optimizer: of the model; its moments follow.
        scheduler: of the optimizer.
        ema: an `AveragedModel` of the model.
        example_inputs: what the model is called with; by default what the site was found with.
        seed: for `by="random"`.
        allow: the weakest promise that is allowed.
        bound: the relative change of the outputs up to which `bounded` holds.

    Raises:
        InputError: `indices`, `amount`, `by`, `allow` or `bound` cannot be.
        SiteNotFound: there is no such site.
        SiteRefused: nothing would be left, or it cannot be exact where `allow` asks for it.
        NotExact: the outputs would have moved further than is allowed.
        CannotCheck: the outputs for these inputs cannot be compared.
    """
    promised = Promised(allow=allow, bound=bound)
    place = find_place(unwrapped(model), site, "prune", example_inputs)
    found, leaf, coupling = place.site, place.leaf, place.coupling
    gone = chosen_units(
        unwrapped(model), found, coupling, leaf, indices, amount, by=by, seed=check_seed(seed)
    )
    refuse_unfit_weights(unwrapped(model), found, grows=False)
    kept = torch.tensor([unit for unit in range(leaf.size) if unit not in gone])
    free = free_units(unwrapped(model), coupling, leaf, gone)
    promised = pruning_promise(found, promised, is_exact=free.covers(gone))
    change = Units(sources=kept, kept=len(kept), merged=free.merged)
    return make_edit(
        model,
        place.inputs,
        lambda surgery: change_width(surgery, coupling, leaf, change, found.attributes),
        operator="prune",
        site=found.name,
        arguments={"indices": sorted(gone)},
        promised=promised,
        followers=Followers(optimizer=optimizer, scheduler=scheduler, ema=ema),
    )


def pruning_promise(site: Site, promised: Promised, *, is_exact: bool) -> Promised:
    """What taking these units away amounts to.

    Raises:
        SiteRefused: it is not exact, and has to be.
    """
    if promised.allow == "exact" and not is_exact:
        raise SiteRefused(
            f"units of {site.name!r} that are to go have outgoing weights and are no copies of others: the "
            "outputs would move",
            hint="allow='bounded' with a bound, or allow='lossy', permits it",
        )
    return Promised(allow=promised.allow, claim="exact" if is_exact else "lossy", bound=promised.bound)


def chosen_units(
    model: nn.Module,
    site: Site,
    coupling: Coupling,
    leaf: Extent,
    indices: Any,
    amount: Any,
    *,
    by: Any,
    seed: int,
) -> frozenset[int]:
    """The units that go.

    Raises:
        InputError: neither or both of `indices` and `amount` are given, or one cannot be.
        SiteRefused: nothing would be left.
    """
    if (indices is None) == (amount is None):
        raise InputError(
            "what goes is said either by indices or by an amount",
            hint="prune(model, site, indices=[0, 3]), or prune(model, site, amount=0.25)",
        )
    if indices is not None:
        chosen = _indices(indices, site, leaf.size)
    else:
        count = _count(amount, site, leaf.size)
        scores = scores_of(by, model, site, coupling, leaf, seed=seed)
        chosen = frozenset(torch.argsort(scores, stable=True)[:count].tolist())
    if len(chosen) >= leaf.size:
        raise SiteRefused(
            f"all {leaf.size} units of {site.name!r} would go", hint="at least one unit has to stay"
        )
    return chosen


def _indices(indices: Any, site: Site, units: int) -> frozenset[int]:
    listed = indices.tolist() if isinstance(indices, Tensor) else indices
    if isinstance(listed, str | bytes) or not isinstance(listed, Iterable):
        listed = [listed]
    numbers = [whole_number(one, "an index") for one in listed]
    if not numbers:
        raise InputError("indices is empty: nothing would change", hint="give at least one unit")
    outside = [one for one in numbers if not 0 <= one < units]
    if outside:
        raise InputError(
            f"{site.name!r} has no unit {outside[0]}: it has {units} units",
            hint=f"units are numbered from 0 to {units - 1}; a unit is {site.width // units} channels",
        )
    if len(set(numbers)) < len(numbers):
        twice = next(one for one in numbers if numbers.count(one) > 1)
        raise InputError(f"unit {twice} is given twice", hint="name each unit once")
    return frozenset(numbers)


def _count(amount: Any, site: Site, units: int) -> int:
    step = site.width // units
    if isinstance(amount, float):
        count = round(amount * units) if 0 < amount < 1 else 0
        if not 0 < amount < 1 or not count:
            raise InputError(
                f"amount={amount} of {units} units is no share that can go",
                hint=f"give one between {0.5 / units:.2g} and 1, or channels as an int",
            )
        return count
    channels = whole_number(amount, "amount")
    if channels <= 0 or channels % step:
        raise InputError(
            f"amount={channels} is no number of whole units: a unit of {site.name!r} is {step} channels",
            hint=f"give a multiple of {step} above 0",
        )
    return min(channels // step, units)
