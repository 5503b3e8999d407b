"""The changes that can be made now: every operator at every site, within the budget."""

__all__ = ["GROWING", "apply_candidate", "find_candidates", "is_affordable", "width_candidate"]

import copy
import inspect
from collections.abc import Sequence
from typing import Any

from torch import nn

from outgrow.errors import InputError, nearest_names
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.errors import NotExact, SiteRefused
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.measures.cost import Cost, measure_cost
from outgrow.evolve.measures.site_cost import SiteCosts
from outgrow.evolve.operators import OPERATORS
from outgrow.evolve.policies.policy import Candidate, Situation
from outgrow.evolve.sites.finding import sites
from outgrow.evolve.sites.site import Site

GROWING = tuple(name for name in ("widen", "deepen") if name in OPERATORS)
"""The operators that policies use unless they are told otherwise: those that keep the outputs."""

_WIDTHS = ("widen", "prune")
_LEAST_STEPS = 10


def find_candidates(
    situation: Situation, *, operators: Sequence[str] = GROWING, share: float = 0.25
) -> list[Candidate]:
    """Every change that is possible and leaves the model within the budget, in the order of the sites.

    Args:
        situation: what is asked about; the model is left as it was.
        operators: names in `OPERATORS` that may be used.
        share: by which part of its width a site is widened or pruned, at least one unit: less is hardly worth
            the disturbance, and several changes can follow each other.

    A change of width has its cost computed; for other operators a copy of the model is changed and measured.
    What would leave the budget with fewer than ten further steps on batches like the first is left out.

    Raises:
        InputError: an operator is not known, or the share is not above zero.
    """
    if not share > 0:
        raise InputError(f"a share of {share}", hint="give a part of the width above zero, for example 0.25")
    found: list[Candidate] = []
    now = measure_cost(situation.model, situation.inputs)
    costs: SiteCosts | None = None
    for operator in operators:
        if operator not in OPERATORS:
            near = nearest_names(operator, OPERATORS) or tuple(OPERATORS)
            raise InputError(f"no operator is called {operator!r}", hint=f"nearest: {', '.join(near)}")
        for site in sites(situation.model, situation.inputs, kind=operator):
            if operator in _WIDTHS:
                costs = costs or SiteCosts(situation.model, situation.inputs)
                candidate = width_candidate(operator, site, share, costs)
            else:
                candidate = _tried_candidate(operator, site, situation, now)
            if candidate is not None and is_affordable(candidate, situation, now):
                found.append(candidate)
    return found


def apply_candidate(
    candidate: Candidate,
    model: nn.Module,
    inputs: ExampleInputs,
    *,
    followers: Followers | None = None,
    seed: int = 0,
) -> Edit:
    """Make the change, by its operator.

    Raises:
        InputError: there is no such operator.
        SiteNotFound: there is no such site (any more).
        NotExact: the change moved the outputs further than it promises.
    """
    operator = OPERATORS.get(candidate.operator)
    if operator is None:
        raise InputError(
            f"no operator is called {candidate.operator!r}", hint=f"there are {', '.join(OPERATORS)}"
        )
    followers = followers or Followers()
    arguments: dict[str, Any] = dict(candidate.arguments)
    # What draws nothing takes no seed.
    if "seed" in inspect.signature(operator).parameters:
        arguments.setdefault("seed", seed)
    return operator(
        model,
        candidate.site,
        **arguments,
        example_inputs=inputs,
        optimizer=followers.optimizer,
        scheduler=followers.scheduler,
        ema=followers.ema,
    )


def width_candidate(operator: str, site: Site, share: float, costs: SiteCosts) -> Candidate | None:
    """Widen or prune `site` by that part of its units, at least one; None where nothing would be left."""
    units = max(1, round(site.units * share))
    if operator == "prune":
        if units >= site.units:
            return None
        arguments, more = {"amount": units * site.unit_width}, -units * site.unit_width
    else:
        if site.methods and site.methods[0] == "duplicate":
            # Behind a normalisation only whole copies of all units keep the statistics.
            units = site.units * max(1, round(share))
        arguments, more = {"by": units * site.unit_width}, units * site.unit_width
    return Candidate(operator=operator, site=site.name, arguments=arguments, cost=costs.of(site, more))


def _tried_candidate(operator: str, site: Site, situation: Situation, now: Cost) -> Candidate | None:
    candidate = Candidate(operator=operator, site=site.name)
    changed = copy.deepcopy(situation.model)
    try:
        apply_candidate(candidate, changed, situation.inputs)
    except (SiteRefused, NotExact):
        return None
    return Candidate(operator=operator, site=site.name, cost=measure_cost(changed, situation.inputs) - now)


def is_affordable(candidate: Candidate, situation: Situation, now: Cost) -> bool:
    """Whether the budget allows for it, the model costing `now`, and for ten steps after it."""
    budget, more = situation.budget, candidate.cost
    limit = float("inf") if budget.parameters is None else budget.parameters
    if 0 < more.parameters > limit - now.parameters:
        return False
    batch = situation.training[0].size if situation.training else 1
    return (now.training_flops + more.training_flops) * batch * _LEAST_STEPS <= budget.left
