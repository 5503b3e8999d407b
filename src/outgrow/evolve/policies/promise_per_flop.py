"""What each candidate promises for its FLOPs, before anything is tried: gradients of a few batches."""

__all__ = ["Score", "score_candidates", "scoring_flops"]

from collections.abc import Sequence
from dataclasses import dataclass

from outgrow.evolve.batches import Batch
from outgrow.evolve.errors import NotExact, SiteRefused
from outgrow.evolve.measures.cost import Cost
from outgrow.evolve.measures.estimate import Abstention, Estimate
from outgrow.evolve.measures.gain import Gain, measure_fresh_gain, measure_gains
from outgrow.evolve.policies.candidates import apply_candidate
from outgrow.evolve.policies.policy import Candidate, Situation
from outgrow.evolve.sites.finding import sites
from outgrow.evolve.transactions.moment import Moment, Training


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one candidate promises."""

    per_flop: float | None
    """Decrease of the loss for a step of the learning rate 1, over the FLOPs that a sample costs more; None
    where nothing can be said."""
    reason: str = ""
    """Why nothing can be said."""


def scoring_flops(candidates: Sequence[Candidate], cost: Cost, samples: int) -> float:
    """What scoring on that many samples takes, the model costing `cost`."""
    widening = any(one.operator == "widen" for one in candidates) * cost.training_flops
    others = (one for one in candidates if one.operator not in ("widen", "prune"))
    return samples * (widening + sum(cost.training_flops + one.cost.training_flops for one in others))


def score_candidates(
    candidates: Sequence[Candidate], situation: Situation, *, batches: int = 4
) -> list[Score]:
    """A score for each candidate, in order.

    Widening by `measure_gains`, all sites at once. Pruning promises nothing; its worth is in the FLOPs that
    it saves, which only a fork shows. Other operators are carried out, the gradients of the weights that are
    new are looked at, and everything is put back. The model is left as it was.
    """
    chosen = situation.training[:batches]
    widened = {one.site for one in candidates if one.operator == "widen"}
    gains: dict[str, Gain | Abstention] = {}
    if widened:
        known = [one for one in sites(situation.model, situation.inputs) if one.name in widened]
        units = {one.name: one.step for one in known}
        gains = measure_gains(
            situation.model,
            known,
            chosen,
            inputs=situation.inputs,
            objective=situation.objective,
            adaptive=True,
        )
    scores: list[Score] = []
    moment: Moment | None = None
    for one in candidates:
        if one.operator == "widen":
            gain = gains[one.site]
            if isinstance(gain, Abstention):
                scores.append(Score(per_flop=None, reason=gain.reason))
            else:
                scores.append(_score(gain.value * one.arguments["by"] / units[one.site], one))
        elif one.operator == "prune":
            scores.append(Score(per_flop=None, reason="pruning promises nothing to first order"))
        else:
            moment = moment or Moment(_training(situation), on="cpu")
            estimate = _fresh_gain(one, situation, chosen, moment)
            if isinstance(estimate, Abstention):
                scores.append(Score(per_flop=None, reason=estimate.reason))
            else:
                scores.append(_score(estimate.value, one))
    return scores


def _score(gain: float, candidate: Candidate) -> Score:
    # A change that costs next to nothing is no wonder: at least one FLOP.
    return Score(per_flop=gain / max(1.0, candidate.cost.training_flops))


def _fresh_gain(
    candidate: Candidate, situation: Situation, batches: Sequence[Batch], moment: Moment
) -> Estimate | Abstention:
    before = {id(one) for one in situation.model.parameters()}
    try:
        apply_candidate(candidate, situation.model, situation.inputs, seed=situation.seed)
        fresh = [name for name, one in situation.model.named_parameters() if id(one) not in before]
        return measure_fresh_gain(
            situation.model, fresh, batches, objective=situation.objective, adaptive=True
        )
    except (SiteRefused, NotExact) as error:
        return Abstention(reason=error.message, samples=0)
    finally:
        moment.put_back()


def _training(situation: Situation) -> Training:
    followers = situation.followers
    return Training(
        model=situation.model,
        optimizer=followers.optimizer,
        scheduler=followers.scheduler,
        ema=followers.ema,
    )
