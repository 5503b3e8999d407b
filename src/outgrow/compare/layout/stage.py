"""One layout for a stage, from the tensors of all its layers."""

__all__ = ["StageLayout", "find_stage_layouts"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from outgrow.compare.layout.layout import Identity, Layout
from outgrow.compare.pair import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLayout:
    """What was found for one pair."""

    layout: Layout | None
    """None where no map fits: the pair cannot be measured."""
    reason: str | None = None
    """Why there is none, or what was assumed."""
    suspected: Mapping[str, str] = field(default_factory=dict)
    """Evidence that is never applied by itself, for the diagnosis: a permutation of equal shapes that would
    fit better, by kind and detail."""


def find_stage_layouts(pairs: Sequence[Pair]) -> list[StageLayout]:
    """One for each pair, in their order."""
    return [
        StageLayout(layout=Identity())
        if len(pair.actual) == 1 and pair.actual[0].shape == pair.expected.shape and pair.fused is None
        else StageLayout(layout=None, reason="shapes differ")
        for pair in pairs
    ]
