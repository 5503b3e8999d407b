"""What the judge is told of each pair, and what it says."""

__all__ = ["Evidence", "Judged", "Judgement", "Measured", "Status", "Verdict"]

from dataclasses import dataclass
from typing import Literal

from outgrow.compare.measures import Measures

Status = Literal["ok", "differs", "inherited", "healed"]
Verdict = Literal["match", "differ", "insufficient"]
Evidence = Literal[
    "jump", "drift", "isolated", "bias", "lost", "coarse", "born", "exact", "tolerance", "shape", "rest"
]
"""Why a pair is not right: its error jumps; it has grown, however slowly, beyond what rounding leaves; few
elements are far off; all are off by one factor or in one direction; elements are 0 on one side alone; all
numbers of one side are coarser than their dtype; NaN or infinities are on one side only; numbers that
know no rounding are not equal; beyond the tolerance that was given; it could not be laid over the other;
something is left of an error that it inherited."""


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
    reason: str | None = None
    """Why it could not be measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The judge's word on one pair."""

    status: Status
    """`ok`: right. `differs`: it went wrong here. `inherited`: wrong, but not more than what came before it.
    `healed`: right, and so is all after it, though something before it was wrong."""
    reason: str
    """In a sentence: `relative error 3.1e-2, 240 times what comes before it`."""
    evidence: Evidence | None = None
    """What makes it wrong; None where it is right."""
    error: float | None = None
    """Relative error over finite elements: a point of the curve over the depth; None where not measured."""
    allowed: float | None = None
    """Up to where that error would not have been a jump; None where the jump rule was not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The judge's word on two runs."""

    verdict: Verdict
    first_divergence: int | None
    """Index of the first pair that went wrong."""
    healed_at: int | None
    """Index of the first pair after it from which on all is right again."""
    judged: tuple[Judged, ...]
    """One for each pair."""
    reason: str
    """The verdict in a sentence."""
