"""Change at fixed times: what is best known beforehand, and looks at nothing."""

__all__ = ["Growth", "Schedule"]

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from outgrow.errors import InputError, nearest_names
from outgrow.evolve.errors import SiteNotFound
from outgrow.evolve.measures.site_cost import SiteCosts
from outgrow.evolve.policies.candidates import width_candidate
from outgrow.evolve.policies.policy import Candidate, Decision, Situation
from outgrow.evolve.sites.finding import sites
from outgrow.evolve.sites.site import Site
from outgrow.names import matches


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """One line of a schedule: what is changed at which time."""

    at: float
    """The share of the budget's FLOPs, from 0 to 1, from which on the change is due."""
    site: str = "*"
    """Glob over the names of sites; those that fit are changed one after the other, a decision each."""
    operator: str = "widen"
    """Its name in `OPERATORS`."""
    share: float = 1.0
    """For `widen` and `prune`: by which part of its width; 1 doubles."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The operator's arguments, for other operators, or instead of `share`."""

    def __post_init__(self) -> None:
        if not 0 <= self.at <= 1:
            raise InputError(f"a change at {self.at} of the budget", hint="give a share from 0 to 1")
        if not self.share > 0:
            raise InputError(f"a share of {self.share}", hint="give a part of the width above zero")


_DOUBLING = (Growth(at=0.2),)
"""At 20 to 30 % of the FLOPs, before the learning rate falls, growth was measured to pay most."""


class Schedule:
    """Makes each change of a list once its time has come, in order; looks at nothing but the budget.

    Which were made it reads off the history, so it goes on where a run was interrupted.
    """

    def __init__(self, growths: Sequence[Growth] = _DOUBLING) -> None:
        """Take a list; without one, every site is doubled at 20 % of the budget, one a decision."""
        self._growths = tuple(sorted(growths, key=lambda one: one.at))

    def decide(self, situation: Situation) -> Decision:
        """The first change that is due and not made yet.

        Raises:
            SiteNotFound: no site of the model fits a line of the schedule that is due.
        """
        began = time.perf_counter()
        for line, growth in enumerate(self._growths):
            if growth.at > situation.budget.share:
                break
            before = [one.evidence for one in situation.history if one.evidence.get("line") == line]
            known = {one.name: one for one in sites(situation.model, situation.inputs, kind=growth.operator)}
            # Those that were there when the line began: a layer that it inserts itself does not count.
            chosen = before[0]["sites"] if before else _fitting(growth, known)
            made = {one["site"] for one in before}
            left = [name for name in chosen if name in known and name not in made]
            if left:
                candidate, reason = _candidate(growth, known[left[0]], situation)
                return Decision(
                    candidate=candidate,
                    reason=reason,
                    evidence={"line": line, "site": left[0], "sites": chosen},
                    seconds=time.perf_counter() - began,
                )
        waiting = [one.at for one in self._growths if one.at > situation.budget.share]
        return Decision(
            candidate=None,
            reason=f"the next change is due at {waiting[0]:.0%}" if waiting else "the schedule is through",
            seconds=time.perf_counter() - began,
        )


def _fitting(growth: Growth, known: Mapping[str, Site]) -> list[str]:
    fitting = [name for name in known if matches(name, growth.site)]
    if not fitting:
        near = nearest_names(growth.site, known)
        raise SiteNotFound(
            f"no site to {growth.operator} fits {growth.site!r}, which is due at {growth.at:.0%}",
            hint=f"nearest: {', '.join(near)}" if near else f"the model has {len(known)} sites of this kind",
        )
    return fitting


def _candidate(growth: Growth, site: Site, situation: Situation) -> tuple[Candidate | None, str]:
    due = f"due at {growth.at:.0%} of the budget"
    candidate: Candidate | None = Candidate(
        operator=growth.operator, site=site.name, arguments=growth.arguments
    )
    if growth.operator in ("widen", "prune") and not growth.arguments:
        costs = SiteCosts(situation.model, situation.inputs)
        candidate = width_candidate(growth.operator, site, growth.share, costs)
        if candidate is None:
            return None, f"{due}, but nothing of {site.name} would be left"
    parameters = sum(one.numel() for one in situation.model.parameters())
    limit = situation.budget.parameters
    if limit is not None and candidate and 0 < candidate.cost.parameters > limit - parameters:
        return None, f"{due}, but it does not fit into {limit:,} parameters"
    return candidate, due
