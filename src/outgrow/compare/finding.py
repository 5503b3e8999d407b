"""One row of a comparison."""

__all__ = ["Finding"]

from dataclasses import dataclass

from outgrow.compare.judge import Judged
from outgrow.compare.layout import StageLayout
from outgrow.compare.measures import Measures
from outgrow.compare.pair import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A pair, how it was laid out, measured and judged."""

    pair: Pair
    layout: StageLayout
    measures: Measures | None
    judged: Judged
