"""The default: try the few changes that promise most per FLOP, and make one only if it is surely better."""

__all__ = ["Arm", "Greedy"]

import itertools
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from outgrow.errors import InputError
from outgrow.evolve.measures.cost import Cost, measure_cost
from outgrow.evolve.policies.candidates import GROWING, find_candidates
from outgrow.evolve.policies.forks import ForkResult, ForkRunner, Forks
from outgrow.evolve.policies.paired import Improvement, paired_improvement, price_of
from outgrow.evolve.policies.policy import Candidate, Decision, Situation
from outgrow.evolve.policies.promise_per_flop import Score, score_candidates, scoring_flops

_LEAST_STEPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One change that was tried, as the decision's evidence shows it."""

    label: str
    """What it was; `no change` for the arm that all others are held against."""
    operator: str
    """Its operator; empty for no change."""
    site: str
    """Its site; empty for no change."""
    score: float | None
    """What it promised per FLOP before it was tried; None where nothing is known."""
    improvement: float
    """By how much it lowers the validation loss at equal FLOPs; exactly 0 for no change."""
    lower: float
    """The lower confidence bound of that."""
    per_flop: float
    """The lower bound over the FLOPs of the arm's training."""
    steps: int
    """How many steps it made."""
    flops: float
    """What trying it took, its validation included."""
    failure: str = ""
    """What went wrong while it was tried."""


class Greedy:
    """Gain per FLOP, seen in short paired forks.

    Candidates are scored by gradients (`measure_gains`); the best few, and no change, train on the same
    batches, and are judged on the validation split, the FLOPs that a change costs more being taken off
    (`paired_improvement`, `price_of`). The change with the largest lower bound of its improvement per FLOP is
    made if that bound is above zero. No change scores exactly zero.

    The bound is of each change by itself: the best of three passes it by chance more often than one does.

    What this cannot see: a change that pays only after longer than a fork, and the error that the few
    training batches of a fork bring (the bound is over validation batches; `repeats` adds forks on others).
    """

    def __init__(
        self,
        *,
        operators: Sequence[str] = GROWING,
        share: float = 0.25,
        tried: int = 3,
        steps: int = 16,
        repeats: int = 1,
        spend: float = 0.03,
        confidence: float = 0.95,
        looks_ahead: bool = True,
        thompson: bool = False,
        forks: Callable[[Situation], ForkRunner] = Forks,
    ) -> None:
        """Choose how much is tried.

        Args:
            operators: names in `OPERATORS` that may be used.
            share: by which part of its width a site is changed.
            tried: how many candidates are forked, beside no change.
            steps: of each fork.
            repeats: forks of each arm, each on batches of its own.
            spend: the most that one decision may take, as a part of the FLOPs that are left; forks get
                shorter, and below eight steps nothing is tried: that few show the change of the learning rate
                that copies bring, and nothing of what they are worth.
            confidence: of the one-sided bound.
            looks_ahead: price the FLOPs of a change by what they would buy at the end of the budget
                (`price_of`) instead of by what they buy now, which is more.
            thompson: draw the candidates that are tried by their odds (score, and how often they won before)
                instead of taking the best ones.
            forks: what runs the forks of a situation.
        """
        if min(tried, steps, repeats) < 1 or not 0.5 <= confidence < 1 or not 0 < spend <= 1:
            raise InputError(
                f"tried={tried}, steps={steps}, repeats={repeats}, confidence={confidence}, spend={spend}",
                hint="the first three are at least 1, confidence is from 0.5 to below 1, spend a part of 1",
            )
        self._operators = tuple(operators)
        self._share, self._tried, self._steps, self._repeats = share, tried, steps, repeats
        self._spend, self._confidence = spend, confidence
        self._looks_ahead, self._thompson, self._forks = looks_ahead, thompson, forks

    def decide(self, situation: Situation) -> Decision:
        """Score, try, compare.

        Raises:
            InputError: there is no optimizer, fewer than two validation batches, or too few training batches.
        """
        began = time.perf_counter()
        _check(situation)
        candidates = find_candidates(situation, operators=self._operators, share=self._share)
        cost = measure_cost(situation.model, situation.inputs)
        batches, scoring = self._affordable_scoring(candidates, cost, situation)
        steps = self._affordable_steps(cost, scoring, situation)
        if not candidates or not steps:
            return Decision(
                candidate=None,
                reason=f"too little is left to try anything for {self._spend:.0%} of it"
                if candidates
                else "there is nothing to change",
                seconds=time.perf_counter() - began,
            )
        scores = score_candidates(candidates, situation, batches=batches)
        shortlist = self._shortlist(candidates, scores, situation)
        before, nothing, results = self._try([one for one, _ in shortlist], steps, situation)
        arms = [_no_change(nothing)]
        for (candidate, score), result in zip(shortlist, results, strict=True):
            ratio = 1 + candidate.cost.training_flops / cost.training_flops
            price = price_of(ratio, situation.budget.share if self._looks_ahead else 1.0)
            gained = paired_improvement(
                before, nothing.losses, result.losses, price=price, confidence=self._confidence
            )
            arms.append(_arm(candidate, score, result, gained))
        judging = cost.flops * sum(batch.size for batch in situation.validation)
        best = max(range(len(arms)), key=lambda place: arms[place].per_flop)
        return Decision(
            candidate=shortlist[best - 1][0] if best else None,
            reason=_reason(arms, best, self._confidence),
            evidence={
                "policy": "greedy",
                "arms": [_plain(one) for one in arms],
                "scores": {one.label: score.per_flop for one, score in zip(candidates, scores, strict=True)},
                "steps": steps,
            },
            flops=scoring + judging + sum(one.flops for one in arms),
            seconds=time.perf_counter() - began,
        )

    def _affordable_scoring(
        self, candidates: Sequence[Candidate], cost: Cost, situation: Situation
    ) -> tuple[int, float]:
        """On how many batches candidates are scored, and what that takes: at most a quarter of what a
        decision may take; (0, 0) where not even two batches can be paid."""
        for batches in (4, 3, 2):
            samples = sum(one.size for one in situation.training[:batches])
            flops = scoring_flops(candidates, cost, samples)
            if flops <= self._spend * situation.budget.left / 4:
                return batches, flops
        return 0, 0.0

    def _affordable_steps(self, cost: Cost, scoring: float, situation: Situation) -> int:
        """Steps of a fork; 0 where fewer than `_LEAST_STEPS` (or than were asked for) could be paid."""
        batch = situation.training[0].size
        judging = cost.flops * sum(one.size for one in situation.validation)
        arms = (self._tried + 1) * self._repeats
        paid = (self._spend * situation.budget.left - scoring - judging) / arms - judging
        most = min(self._steps, len(situation.training) // self._repeats)
        steps = most if math.isinf(paid) else min(most, int(paid / (cost.training_flops * batch)))
        return steps if steps >= min(_LEAST_STEPS, most) else 0

    def _shortlist(
        self, candidates: Sequence[Candidate], scores: Sequence[Score], situation: Situation
    ) -> list[tuple[Candidate, Score]]:
        """The best of each operator first, then the second best of each: gradients of new layers and of new
        units are not of one scale."""
        pairs = list(zip(candidates, scores, strict=True))
        if self._thompson:
            drawn = random.Random(situation.seed)
            won = _record(situation.history)
            keys = []
            for place, one in enumerate(candidates):
                wins, losses = won.get((one.operator, one.site), (0, 0))
                odds = _odds(candidates, scores, place)
                keys.append(drawn.betavariate(1 + odds + wins, 2 - odds + losses))
            order = sorted(range(len(pairs)), key=lambda place: -keys[place])
            return [pairs[place] for place in order[: self._tried]]
        by_operator: dict[str, list[tuple[Candidate, Score]]] = {}
        # Where nothing could be scored, what costs least comes first.
        for pair in sorted(pairs, key=lambda pair: (-(pair[1].per_flop or 0.0), pair[0].cost.training_flops)):
            by_operator.setdefault(pair[0].operator, []).append(pair)
        rows = itertools.zip_longest(*by_operator.values())
        return [pair for row in rows for pair in row if pair is not None][: self._tried]

    def _try(
        self, shortlist: Sequence[Candidate], steps: int, situation: Situation
    ) -> tuple[tuple[float, ...], ForkResult, list[ForkResult]]:
        """Losses before, those of no change, and those of each change, all repeats in a row."""
        forks = self._forks(situation)
        stretches = [
            situation.training[repeat * steps : (repeat + 1) * steps] for repeat in range(self._repeats)
        ]
        found = [_joined([forks.run(one, stretch) for stretch in stretches]) for one in (None, *shortlist)]
        return forks.judge() * self._repeats, found[0], found[1:]


def _check(situation: Situation) -> None:
    if len(situation.validation) < 2 or len(situation.training) < 2:
        raise InputError(
            f"{len(situation.training)} training and {len(situation.validation)} validation batches",
            hint="greedy compares arms on at least two of each; split the validation batch, or give more",
        )


def _odds(candidates: Sequence[Candidate], scores: Sequence[Score], place: int) -> float:
    """The score as a part of the best one of the same operator, 0 to 1; a half where nothing is known."""
    mine = scores[place].per_flop
    if mine is None:
        return 0.5
    same = [
        score.per_flop
        for one, score in zip(candidates, scores, strict=True)
        if one.operator == candidates[place].operator and score.per_flop is not None
    ]
    return max(0.0, mine) / best if (best := max(same)) > 0 else 0.0


def _record(history: Sequence[Decision]) -> dict[tuple[str, str], tuple[int, int]]:
    """How often each operator and site was surely better than no change, and how often it was not."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for decision in history:
        for arm in decision.evidence.get("arms", ()):
            if arm["operator"]:
                wins, losses = found.get((arm["operator"], arm["site"]), (0, 0))
                is_win = arm["lower"] is not None and arm["lower"] > 0
                found[arm["operator"], arm["site"]] = wins + is_win, losses + (not is_win)
    return found


def _joined(results: Sequence[ForkResult]) -> ForkResult:
    """Forks of one arm on several stretches of batches as one."""
    return ForkResult(
        losses=tuple(loss for one in results for loss in one.losses),
        steps=sum(one.steps for one in results),
        flops=sum(one.flops for one in results),
        judging_flops=sum(one.judging_flops for one in results),
        seconds=sum(one.seconds for one in results),
        failure=next((one.failure for one in results if one.failure), ""),
    )


def _no_change(result: ForkResult) -> Arm:
    return Arm(
        label="no change",
        operator="",
        site="",
        score=None,
        improvement=0.0,
        lower=0.0,
        per_flop=0.0,
        steps=result.steps,
        flops=result.flops + result.judging_flops,
        failure=result.failure,
    )


def _arm(candidate: Candidate, score: Score, result: ForkResult, gained: Improvement) -> Arm:
    return Arm(
        label=candidate.label,
        operator=candidate.operator,
        site=candidate.site,
        score=score.per_flop,
        improvement=gained.mean,
        lower=gained.lower,
        per_flop=gained.lower / result.flops if result.flops else -math.inf,
        steps=result.steps,
        flops=result.flops + result.judging_flops,
        failure=result.failure,
    )


def _plain(arm: Arm) -> dict[str, Any]:
    """As JSON can hold it: None for what is infinite or no number."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in asdict(arm).items()
    }


def _reason(arms: Sequence[Arm], best: int, confidence: float) -> str:
    if best:
        arm = arms[best]
        return (
            f"loss {arm.improvement:.4f} below that without change, at equal FLOPs "
            f"(at least {arm.lower:.4f} at {confidence:.0%})"
        )
    nearest = max(arms[1:], key=lambda arm: arm.lower)
    if nearest.failure:
        return f"every change that was tried failed, {nearest.label} by {nearest.failure}"
    return (
        f"none of {len(arms) - 1} changes is surely better; {nearest.label} comes nearest with "
        f"{nearest.improvement:.4f} (at least {nearest.lower:.4f})"
    )
