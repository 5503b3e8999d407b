"""Widen where a layer tells much of the target and repeats itself little."""

__all__ = ["ExpandWithMI", "SiteInformation"]

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from outgrow.errors import InputError
from outgrow.evolve.measures.activations import Activations, site_activations
from outgrow.evolve.measures.cost import measure_cost
from outgrow.evolve.measures.estimate import Abstention, Estimate
from outgrow.evolve.measures.redundancy import measure_redundancy
from outgrow.evolve.measures.relevance import label_entropy, measure_relevance
from outgrow.evolve.measures.site_cost import SiteCosts
from outgrow.evolve.policies.candidates import is_affordable, width_candidate
from outgrow.evolve.policies.policy import Candidate, Decision, Situation
from outgrow.evolve.sites.finding import sites
from outgrow.evolve.sites.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteInformation:
    """What was measured of one site, and what follows."""

    site: str
    """Its name."""
    relevance: float | None
    """What its activations tell of the target: a lower bound, as a part of the target's entropy (0 to 1)."""
    relevance_error: float | None
    """The standard error of that."""
    redundancy: float | None
    """How much of its channels the others give away, on average (0 to 1)."""
    score: float
    """`relevance * (1 - redundancy)` where both count; else 0."""
    reason: str
    """Why it is, or is not, to be widened."""


class ExpandWithMI:
    """Widening by information: sites and amounts come from measures, none of it from chance.

    A site is widened where its relevance is surely above `least_relevance` (two standard errors below the
    bound still are) and its redundancy below `most_redundancy`: its channels are used, and each is needed.
    The one with the highest product of relevance and what is not redundant comes first, and grows by `share`
    of its width times that part of its channels that is not redundant.

    Relevance grows from layer to layer by nature, so the rule prefers late layers, which are cheap in a
    convolutional network. That both figures are high does not prove that more channels help; whether they do,
    only a fork shows (`Greedy`).
    """

    def __init__(
        self,
        *,
        share: float = 0.5,
        least_relevance: float = 0.05,
        most_redundancy: float = 0.7,
        samples: int = 512,
    ) -> None:
        """Choose the rule.

        Args:
            share: by which part of its width a site grows where nothing in it is redundant.
            least_relevance: as a part of the target's entropy.
            most_redundancy: mean held-out R² of a channel on the others.
            samples: how many training samples are looked at.
        """
        if not share > 0 or not 0 <= least_relevance < 1 or not 0 < most_redundancy <= 1 or samples < 64:
            raise InputError(
                f"share={share}, least_relevance={least_relevance}, most_redundancy={most_redundancy}, "
                f"samples={samples}",
                hint="share is above 0, the others parts of 1, and at least 64 samples are looked at",
            )
        self._share, self._samples = share, samples
        self._least_relevance, self._most_redundancy = least_relevance, most_redundancy

    def measure(self, situation: Situation) -> list[SiteInformation]:
        """What every site that can be widened tells, the best first; the model is left as it was."""
        return self._measure(sites(situation.model, situation.inputs), situation)

    def decide(self, situation: Situation) -> Decision:
        """The best site that fits the rule and the budget, or no change.

        Raises:
            InputError: there is no training batch.
        """
        began = time.perf_counter()
        if not situation.training:
            raise InputError("there is no batch to measure on", hint="give the situation training batches")
        known = sites(situation.model, situation.inputs)
        measured = self._measure(known, situation)
        chosen = self._first(measured, {one.name: one for one in known}, situation)
        cost = measure_cost(situation.model, situation.inputs)
        looked_at = min(self._samples, sum(batch.size for batch in situation.training))
        best = next((one for one in measured if chosen is not None and one.site == chosen.site), None)
        reason = best.reason if best else "no site tells much and repeats itself little"
        return Decision(
            candidate=chosen,
            reason=reason if measured else "there is nothing to widen",
            evidence={"policy": "expand_with_mi", "sites": [asdict(one) for one in measured]},
            flops=cost.flops * looked_at,
            seconds=time.perf_counter() - began,
        )

    def _measure(self, known: Sequence[Site], situation: Situation) -> list[SiteInformation]:
        found = site_activations(
            situation.model, known, situation.training, inputs=situation.inputs, most=self._samples
        )
        measured = [self._judged(site.name, found.get(site.name)) for site in known]
        return sorted(measured, key=lambda one: -one.score)

    def _judged(self, name: str, activations: Activations | None) -> SiteInformation:
        if activations is None:
            return _unknown(name, "its activations cannot be seen")
        labelled = activations.labelled()
        if labelled is None:
            return _unknown(name, "the batches have no labels")
        features, labels = labelled
        relevance = measure_relevance(features[: self._samples], labels[: self._samples])
        redundancy = measure_redundancy(activations.rows())
        for one in (relevance, redundancy):
            if isinstance(one, Abstention):
                return _unknown(name, one.reason)
        assert isinstance(relevance, Estimate)
        assert isinstance(redundancy, Estimate)
        entropy = label_entropy(labels[: self._samples])
        share, error = relevance.value / entropy, relevance.standard_error / entropy
        is_relevant = share - 2 * error > self._least_relevance
        is_needed = redundancy.value < self._most_redundancy
        figures = f"relevance {share:.0%} of the target's entropy, redundancy {redundancy.value:.0%}"
        why = "" if is_relevant else ": too little is told"
        why += "" if is_needed else ": it repeats itself"
        return SiteInformation(
            site=name,
            relevance=share,
            relevance_error=error,
            redundancy=redundancy.value,
            score=share * (1 - redundancy.value) if is_relevant and is_needed else 0.0,
            reason=figures + why,
        )

    def _first(
        self, measured: Sequence[SiteInformation], known: dict[str, Site], situation: Situation
    ) -> Candidate | None:
        costs: SiteCosts | None = None
        now = measure_cost(situation.model, situation.inputs)
        for one in measured:
            if one.score <= 0 or one.redundancy is None:
                continue
            costs = costs or SiteCosts(situation.model, situation.inputs)
            share = self._share * (1 - one.redundancy)
            candidate = width_candidate("widen", known[one.site], share, costs)
            if candidate is not None and is_affordable(candidate, situation, now):
                return candidate
        return None


def _unknown(name: str, reason: str) -> SiteInformation:
    nothing: dict[str, Any] = {"relevance": None, "relevance_error": None, "redundancy": None}
    return SiteInformation(site=name, score=0.0, reason=reason, **nothing)
