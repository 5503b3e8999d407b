"""Choose by lot: what every other policy has to be better than."""

__all__ = ["Uniform"]

import random
import time
from collections.abc import Sequence

from outgrow.evolve.policies.candidates import GROWING, find_candidates
from outgrow.evolve.policies.policy import Decision, Situation


class Uniform:
    """Every change that can be made now is as likely as the others and as making none."""

    def __init__(self, *, operators: Sequence[str] = GROWING, share: float = 0.25) -> None:
        self._operators = tuple(operators)
        self._share = share

    def decide(self, situation: Situation) -> Decision:
        """Draw one; `situation.seed` alone decides which."""
        began = time.perf_counter()
        candidates = find_candidates(situation, operators=self._operators, share=self._share)
        count = len(candidates) + 1
        place = random.Random(situation.seed).randrange(count)
        return Decision(
            candidate=candidates[place] if place < len(candidates) else None,
            reason=f"drawn by lot out of {count}" if candidates else "there is nothing to change",
            evidence={"choices": [one.label for one in candidates]},
            seconds=time.perf_counter() - began,
        )
