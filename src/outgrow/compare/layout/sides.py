"""Two sides, and the places of them that a search looks at."""

__all__ = ["Option", "Sides"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from outgrow.compare.layout.candidates import Candidate
from outgrow.compare.layout.evidence import Scale, Values, agreement
from outgrow.compare.layout.layout import Identity, Layout, Positions
from outgrow.compare.layout.samples import Numbers, draw_positions

_FEW = 256
_MANY = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """Layouts of both sides, among which the numbers decide."""

    layout: Layout
    """Of the actual side."""
    expected_layout: Layout = Identity()  # noqa: RUF009 - a frozen value
    """Of the expected side."""
    digits: tuple[tuple[int, int], ...]
    """Size and stride in the result of each factor whose place has to be confirmed by itself."""
    moves: int = 0
    """Pairs of factors that change their order."""
    is_usual: bool = True
    """Whether it is one of the plain layouts, which may be taken where the numbers say little."""

    @property
    def atoms(self) -> int:
        """How many factors there are: the fewer, the simpler."""
        return len(self.digits)

    @staticmethod
    def of(candidate: Candidate, wrap: Callable[[Candidate], Layout]) -> "Option":
        """`wrap` makes the whole layout of the actual side of it."""
        return Option(
            layout=wrap(candidate),
            digits=candidate.rearrange.digits,
            moves=candidate.moves,
            is_usual=candidate.is_usual and candidate.level == 0,
        )


class Sides:
    """A sample of both sides: the same places for every option, so that options can be compared in pairs."""

    def __init__(
        self,
        expected: Tensor,
        actual: Sequence[Tensor],
        *,
        elements: int | None = None,
        expected_layout: Layout | None = None,
        count: int = _MANY,
        block: int = 1,
    ) -> None:
        """`count` places are looked at, in runs of `block` neighbours.

        `elements` is how many numbers are compared, where an option's `expected_layout` leaves fewer or
        makes more than there are in `expected`; `expected_layout` is then one of those.
        """
        self.expected, self.actual = Numbers([expected]), Numbers(actual)
        self.elements = expected.numel() if elements is None else elements
        first = expected_layout or Identity()
        self.uniform = draw_positions((self.elements,), count, seed=0, block=block)
        raw = self.expected.at(self.uniform, first)
        rare = self._rare(raw, first)
        self.positions = np.concatenate([self.uniform, rare]) if rare.size else self.uniform
        self._every = max(1, len(self.positions) // _FEW)
        self.few = self.positions[:: self._every]
        self._raw: dict[Layout, Values] = {}
        self._truth: dict[Layout, Values] = {}

    def raw_truth(self, layout: Layout) -> Values:
        """Numbers of the expected side at all `positions`."""
        if layout not in self._raw:
            self._raw[layout] = self.expected.at(self.positions, layout)
        return self._raw[layout]

    def truth(self, layout: Layout) -> Values:
        """The same, scaled."""
        if layout not in self._truth:
            raw = self.raw_truth(layout)
            self._truth[layout] = Scale.of(raw[: len(self.uniform)]).apply(raw)
        return self._truth[layout]

    def few_truth(self, layout: Layout) -> Values:
        """The same, at the places `few`."""
        return self.truth(layout)[:: self._every]

    def scale_of(self, layout: Layout) -> Scale:
        """Of the actual side; equal for all layouts that keep every number as often as any other."""
        return Scale.of(self.actual.at(self.uniform, layout))

    def agreement(self, option: Option) -> float:
        """Of all the places, under one option."""
        values = self.scale_of(option.layout).apply(self.actual.at(self.positions, option.layout))
        return agreement(self.truth(option.expected_layout), values)

    def _rare(self, raw: Values, layout: Layout) -> Positions:
        """Places of values other than the usual one, where nearly all numbers are the same: masks, one-hot
        rows, rare activations. Without them a sample would see nothing of what tells maps apart."""
        usual = np.median(raw) if raw.size else 0.0
        if self.elements == len(self.uniform) or (raw == usual).mean() < 0.75:
            return np.empty(0, dtype=np.int64)
        generator = np.random.default_rng(1)
        found, size = [], 1 << 16
        starts = np.arange(0, self.elements, size)
        for start in starts if len(starts) <= 16 else np.sort(generator.choice(starts, 16, replace=False)):
            places = np.arange(start, min(start + size, self.elements), dtype=np.int64)
            found.append(places[self.expected.at(places, layout) != usual])
        rare = np.concatenate(found)
        return rare if rare.size <= _MANY else np.sort(generator.choice(rare, _MANY, replace=False))
