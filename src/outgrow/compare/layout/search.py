"""Which of many layouts puts the numbers of one side where they are on the other: decided on a sample."""

__all__ = ["Found", "Option", "Sides", "search"]

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from outgrow.compare.layout.candidates import Candidate
from outgrow.compare.layout.evidence import CONFIRMED, DECIDED, Scale, Values, agreement, closer, sigmas
from outgrow.compare.layout.layout import Layout, Positions
from outgrow.compare.layout.samples import Numbers, draw_positions

_FIRST = 384
_SECOND = 2048
_FINALISTS = 8
_LEAST_AGREEMENT = 0.2

Ground = Literal["confirmed", "partly", "shapes", "equal", "ambiguous", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A layout among which the numbers decide."""

    layout: Layout
    digits: tuple[tuple[int, int], ...]
    """Size and stride in the result of each factor whose place has to be confirmed by itself."""
    moves: int = 0
    is_usual: bool = True

    @staticmethod
    def of(candidate: Candidate, wrap: Callable[[Candidate], Layout]) -> "Option":
        """`wrap` makes the whole layout of it."""
        return Option(
            layout=wrap(candidate),
            digits=candidate.rearrange.digits,
            moves=candidate.moves,
            is_usual=candidate.is_usual,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search came to."""

    layout: Layout | None
    ground: Ground
    """`confirmed`: every factor's place by the numbers; `partly`: better than all others, but some factor
    fits nowhere; `shapes`: the shapes allow no other; `equal`: several fit, and all give the same numbers;
    `ambiguous`: several fit as well and give different ones; `none`: no map was tried."""
    agreement: float = 0.0
    others: tuple[Layout, ...] = ()
    """Those that fit as well, at most three."""


class Sides:
    """Two sides, and the places of them that a search looks at."""

    def __init__(
        self,
        *,
        expected: Numbers,
        actual: Numbers,
        shape: Sequence[int],
        expected_layout: Layout | None = None,
        seed: int = 0,
        count: int = _SECOND,
        block: int = 1,
    ) -> None:
        """`shape` is that of the expected tensor, after `expected_layout` where there is one."""
        self.expected, self.actual, self.expected_layout = expected, actual, expected_layout
        self.elements = math.prod(shape)
        self.uniform = draw_positions(shape, count, seed=seed, block=block)
        raw = expected.at(self.uniform, expected_layout)
        self._truth_scale = Scale.of(raw)
        rare = self._rare(raw, seed)
        self.positions = np.concatenate([self.uniform, rare]) if rare.size else self.uniform
        self.raw_truth = np.concatenate([raw, expected.at(rare, expected_layout)]) if rare.size else raw
        self.truth = self._truth_scale.apply(self.raw_truth)
        self._few = slice(None, None, max(1, len(self.positions) // _FIRST))
        self.few_positions, self.few_truth = self.positions[self._few], self.truth[self._few]

    def _rare(self, raw: Values, seed: int) -> Positions:
        """Places of values other than the usual one, where nearly all numbers are the same: masks, one-hot
        rows, rare activations. Without them a sample would see nothing of what tells maps apart."""
        usual = np.median(raw) if raw.size else 0.0
        if self.elements == len(self.uniform) or (raw == usual).mean() < 0.75:
            return np.empty(0, dtype=np.int64)
        generator = np.random.default_rng(seed + 1)
        found, size = [], 1 << 16
        starts = range(0, self.elements, size)
        chosen = starts if len(starts) <= 16 else sorted(generator.choice(starts, 16, replace=False))
        for start in chosen:
            places = np.arange(start, min(start + size, self.elements), dtype=np.int64)
            found.append(places[self.expected.at(places, self.expected_layout) != usual])
        rare = np.concatenate(found)
        return rare if rare.size <= _SECOND else np.sort(generator.choice(rare, _SECOND, replace=False))

    def scale_of(self, layout: Layout) -> Scale:
        """Of the actual side; equal for all layouts that lose nothing."""
        return Scale.of(self.actual.at(self.uniform, layout))

    def values(self, layout: Layout, scale: Scale, positions: Positions) -> Values:
        """Of the actual side, scaled."""
        return scale.apply(self.actual.at(positions, layout))


@dataclass(slots=True, kw_only=True)
class _Rated:
    option: Option
    values: Values
    agreement: float


def search(sides: Sides, levels: Iterable[Sequence[Option]], *, takes_only_choice: bool = True) -> Found:
    """Try level after level until the numbers confirm one.

    Where they confirm none: the best of the first level, if it is better than all others there or the only
    one (`takes_only_choice`); otherwise none.
    """
    fallback: Found | None = None
    for options in levels:
        if not options:
            continue
        found = _decide(sides, options, takes_only_choice=takes_only_choice and fallback is None)
        if found.ground in ("confirmed", "equal"):
            return found
        fallback = fallback or found
    return fallback or Found(layout=None, ground="none")


def _decide(sides: Sides, options: Sequence[Option], *, takes_only_choice: bool) -> Found:
    scale = sides.scale_of(options[0].layout)
    finalists = _finalists(sides, options, scale)
    best = max(finalists, key=lambda rated: rated.agreement)
    # Of those that give the same numbers the first is the simplest.
    alike = [rated for rated in finalists if _is_alike(rated.values, best.values)]
    best = alike[0]
    rivals = [rated for rated in finalists if not any(rated is other for other in alike)]
    beaten = all(closer(sides.truth, best.values, rival.values) >= DECIDED for rival in rivals)
    believed = (
        best.agreement >= _LEAST_AGREEMENT and sigmas(best.agreement, len(sides.positions)) >= CONFIRMED
    )
    same = tuple(rated.option.layout for rated in alike[1:4])
    if believed and beaten and _is_placed(sides, best, scale):
        return Found(
            layout=best.option.layout,
            ground="equal" if same else "confirmed",
            agreement=best.agreement,
            others=same,
        )
    if len(alike) == len(finalists) == len(options) > 1:
        return Found(layout=best.option.layout, ground="equal", agreement=best.agreement, others=same)
    if believed and beaten:
        return Found(layout=best.option.layout, ground="partly", agreement=best.agreement)
    usual = [option for option in options if option.is_usual]
    if takes_only_choice and len(usual) == 1:
        return Found(layout=usual[0].layout, ground="shapes", agreement=best.agreement)
    others = tuple(option.layout for option in options[:4])
    return Found(layout=None, ground="ambiguous", agreement=best.agreement, others=others)


def _finalists(sides: Sides, options: Sequence[Option], scale: Scale) -> list[_Rated]:
    """The best few, in the order of the options; of those that are the same map the first."""
    if len(options) > _FINALISTS:
        rates = [
            agreement(sides.few_truth, sides.values(option.layout, scale, sides.few_positions))
            for option in options
        ]
        least = sorted(rates, reverse=True)[_FINALISTS - 1]
        kept = [index for index, rate in enumerate(rates) if rate >= least][: 2 * _FINALISTS]
        options = [options[index] for index in kept]
    rated = []
    for option in options:
        values = sides.values(option.layout, scale, sides.positions)
        rated.append(_Rated(option=option, values=values, agreement=agreement(sides.truth, values)))
    return rated


def _is_alike(one: Values, other: Values) -> bool:
    return bool(np.array_equal(one, other))


def _is_placed(sides: Sides, rated: _Rated, scale: Scale) -> bool:
    """Whether every factor by itself is where the numbers want it: moving along it must make things worse."""
    generator = np.random.default_rng(7)
    for size, stride in rated.option.digits:
        digit = sides.positions // stride % size
        elsewhere = (digit + generator.integers(1, size, size=len(digit))) % size
        moved = sides.positions + (elsewhere - digit) * stride
        if closer(sides.truth, rated.values, sides.values(rated.option.layout, scale, moved)) < DECIDED:
            return False
    return True
