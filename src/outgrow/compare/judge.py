"""From the measures of all pairs, in order of execution, to a verdict. Values in, values out."""

__all__ = ["Judged", "Judgement", "Measured", "judge"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from outgrow.compare.measures import Measures

Status = Literal["ok", "differs", "inherited", "healed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the judge knows of one pair."""

    name: str
    """Of the expected tensor: `Pair.expected_name`."""
    stage: str
    layer: int | None
    kind: str
    """As `Record.kind`: parameters and gradients are judged beside the activations, not in their chain."""
    measures: Measures | None
    """None where the pair could not be measured: no layout fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The judge's word on one pair."""

    status: Status
    reason: str
    """In a sentence: `relative error 3.1e-2, 240 times what comes before it`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The judge's word on two runs."""

    verdict: Literal["match", "differ", "insufficient"]
    first_divergence: int | None
    """Index of the first pair that went wrong."""
    healed_at: int | None
    """Index of the first pair after it from which on all is right again."""
    judged: tuple[Judged, ...]
    """One for each pair."""
    reason: str
    """The verdict in a sentence."""


def judge(measured: Sequence[Measured], *, larger_half: int = 1) -> Judgement:
    """Walk through the pairs in order of execution."""
    judged = tuple(
        Judged(status="ok", reason="equal")
        if pair.measures is not None and pair.measures.relative_error < 1e-2
        else Judged(status="differs", reason="too far apart")
        for pair in measured
    )
    first = next((index for index, word in enumerate(judged) if word.status != "ok"), None)
    verdict: Literal["match", "differ"] = "match" if first is None else "differ"
    return Judgement(
        verdict=verdict, first_divergence=first, healed_at=None, judged=judged, reason=f"they {verdict}"
    )
