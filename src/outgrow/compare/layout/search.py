"""Which of many layouts puts the numbers of one side where they are on the other: decided on a sample."""

__all__ = ["Found", "Ground", "search"]

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from outgrow.compare.layout.chain import located, split_chain
from outgrow.compare.layout.evidence import CONFIRMED, DECIDED, Scale, Values, agreement, closer, sigmas
from outgrow.compare.layout.layout import Identity
from outgrow.compare.layout.rearrange import Rearrange
from outgrow.compare.layout.sides import Option, Sides

_FINALISTS = 8
_PLAIN = 0.3
"""Agreement that is asked of the plain layouts. Half of all tokens may be wrong."""
_PLAIN_PART = 0.45
"""The same where one side holds more numbers than are compared: another part is often right for a third."""
_ODD_PART = 0.6
"""And there of all others: a part in other runs can be right for half of the numbers."""
_ODD = 0.9
"""And of all others elsewhere. A fault can make one of many odd maps fit better than the plain one does, most
of all where large channels make any map look good that gets the channels right."""
_UNDOUBTED = 0.9
"""Agreement from which nothing better is looked for."""
_HOPELESS = 0.5
"""Agreement in the first round, of 256 numbers, below which no odd map can come out confirmed."""

Ground = Literal["confirmed", "partly", "shapes", "equal", "ambiguous", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search came to."""

    option: Option | None
    ground: Ground
    """`confirmed`: every factor's place by the numbers; `partly`: better than all others, but some factor
    fits nowhere; `shapes`: the shapes allow no other; `equal`: several fit, and all give the same numbers;
    `ambiguous`: several fit as well and give different ones; `none`: no map was tried."""
    agreement: float = 0.0
    """Correlation on the sample, of clipped numbers."""
    others: tuple[Option, ...] = ()
    """Those that fit as well, at most three."""


@dataclass(slots=True, kw_only=True)
class _Rated:
    option: Option
    scale: Scale
    values: Values
    errors: Values
    agreement: float


def search(sides: Sides, levels: Iterable[Sequence[Option]], *, shapes_suffice: bool = True) -> Found:
    """Try level after level until the numbers confirm one.

    Where they confirm none: the best of the first level, if it is better than all others there or the only
    one, and none where `shapes_suffice` is False: where it is not even known which numbers are compared.
    """
    first: _Level | None = None
    best: _Level | None = None
    for options in levels:
        if not options:
            continue
        level = _decide(sides, options, is_first=first is None, shapes_suffice=shapes_suffice)
        first = first or level
        # What an earlier level had confirmed was a half-truth where a later one is better, sure or not.
        if level.errors is not None and (best is None or level.beats(best)) and (level.is_sure or best):
            best = level
        if best is not None and best.is_sure and best.found.agreement >= _UNDOUBTED:
            return best.found
    if best is not None:
        return (
            best.found if best.is_sure else dataclasses.replace(best.found, option=None, ground="ambiguous")
        )
    return first.found if first is not None else Found(option=None, ground="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """What one level came to."""

    found: Found
    errors: Values | None
    """Of its best option, in every place; None where all were hopeless."""

    @property
    def is_sure(self) -> bool:
        return self.found.ground in ("confirmed", "equal")

    def beats(self, other: "_Level") -> bool:
        """Whether its best option is clearly closer than that of the other level."""
        if self.errors is None or other.errors is None:
            return False
        return DECIDED <= closer(self.errors, other.errors) < math.inf


def _decide(sides: Sides, options: Sequence[Option], *, is_first: bool, shapes_suffice: bool) -> _Level:
    finalists = _finalists(sides, options, may_give_up=not is_first)
    if not finalists:
        return _Level(found=Found(option=None, ground="none"), errors=None)
    best = max(finalists, key=lambda rated: rated.agreement)
    plain, odd = (_PLAIN, _ODD) if shapes_suffice else (_PLAIN_PART, _ODD_PART)
    asked = plain if best.option.is_usual and is_first else odd
    believed = best.agreement >= asked and sigmas(best.agreement, len(sides.positions)) >= CONFIRMED
    # Of those that are as good the first is the simplest.
    alike = [rated for rated in finalists if _is_alike(sides, rated, best)]
    best = alike[0]
    rivals = [rated for rated in finalists if not any(rated is other for other in alike)]
    beaten = all(closer(best.errors, rival.errors) >= DECIDED for rival in rivals)
    # Two words for one map are no choice; two maps that happen to give the same numbers are one.
    where = _places(sides, best)
    same = tuple(
        rated.option
        for rated in alike[1:]
        if _places(sides, rated) != where and not _is_same_map(sides, rated.option, best.option)
    )[:3]
    found = Found(option=best.option, ground="partly", agreement=best.agreement, others=same)
    if believed and beaten and _is_placed(sides, best):
        found = dataclasses.replace(found, ground="equal" if same else "confirmed")
    elif not rivals and len(options) > 1 and _all_alike(sides, options, best):
        found = dataclasses.replace(found, ground="equal")
    elif not (believed and beaten and shapes_suffice):
        usual = [option for option in options if option.is_usual]
        is_only = shapes_suffice and len(usual) == 1
        ranked = sorted(finalists, key=lambda rated: -rated.agreement)
        found = Found(
            option=usual[0] if is_only else None,
            ground="shapes" if is_only else "ambiguous",
            agreement=best.agreement,
            others=() if is_only else tuple(rated.option for rated in ranked[:3]),
        )
    return _Level(found=found, errors=best.errors)


def _finalists(sides: Sides, options: Sequence[Option], *, may_give_up: bool) -> list[_Rated]:
    """The best few, in the order of the options."""
    if len(options) > _FINALISTS or may_give_up:
        rates = []
        for option in options:
            numbers = sides.actual.at(sides.few, option.layout)
            truth = sides.few_truth(option.expected_layout)
            rates.append(agreement(truth, Scale.of(numbers).apply(numbers)))
        if may_give_up and max(rates) < _HOPELESS:
            return []
        least = sorted(rates, reverse=True)[min(len(rates), _FINALISTS) - 1]
        kept = [index for index, rate in enumerate(rates) if rate >= least][: 2 * _FINALISTS]
        options = [options[index] for index in kept]
    rated = []
    for option in options:
        truth = sides.truth(option.expected_layout)
        numbers = sides.actual.at(sides.positions, option.layout)
        scale = Scale.of(numbers[: len(sides.uniform)])
        values = scale.apply(numbers)
        errors, agreed = np.abs(truth - values), agreement(truth, values)
        rated.append(_Rated(option=option, scale=scale, values=values, errors=errors, agreement=agreed))
    return rated


def _is_alike(sides: Sides, one: _Rated, best: _Rated) -> bool:
    """Whether two options compare the same numbers with the same."""
    if one is best:
        return True
    mine, theirs = one.option.expected_layout, best.option.expected_layout
    if mine != theirs and _is_same_map(sides, one.option, best.option):
        return True
    return np.array_equal(one.values, best.values) and np.array_equal(sides.truth(mine), sides.truth(theirs))


def _is_same_map(sides: Sides, one: Option, other: Option) -> bool:
    """Whether two options set every actual number against the same expected one, in whichever order: heads
    repeated one by one, or the numbers of each head repeated together."""
    found = []
    for option in (one, other):
        combination, rest = split_chain(option.layout)
        if isinstance(combination, Rearrange | Identity):
            combination, rest = Identity(), option.layout
        if not isinstance(rest, Rearrange | Identity):
            return False
        back = rest.inverse.locate(sides.few) if isinstance(rest, Rearrange) else sides.few
        ((_, places),) = located(option.expected_layout, back)
        found.append((combination, places))
    return found[0][0] == found[1][0] and np.array_equal(found[0][1], found[1][1])


def _places(sides: Sides, rated: _Rated) -> bytes:
    """Which numbers an option compares, whatever they are."""
    option = rated.option
    found = [*located(option.layout, sides.few), *located(option.expected_layout, sides.few)]
    return b"".join(part.tobytes() for pair in found for part in pair)


def _all_alike(sides: Sides, options: Sequence[Option], best: _Rated) -> bool:
    """Whether also those that did not come into the last round give the same: constants, zeros."""
    if len(options) <= _FINALISTS:
        return True
    truths = [sides.truth(option.expected_layout) for option in options]
    return bool(np.ptp(best.values) == 0) and all(np.array_equal(truths[0], truth) for truth in truths[1:])


def _is_placed(sides: Sides, rated: _Rated) -> bool:
    """Whether every factor by itself is where the numbers want it: moving along it must make things worse."""
    generator = np.random.default_rng(7)
    truth = sides.truth(rated.option.expected_layout)
    for size, stride in rated.option.digits:
        digit = sides.positions // stride % size
        elsewhere = (digit + generator.integers(1, size, size=len(digit))) % size
        moved = sides.positions + (elsewhere - digit) * stride
        values = rated.scale.apply(sides.actual.at(moved, rated.option.layout))
        if closer(rated.errors, np.abs(truth - values)) < DECIDED:
            return False
    return True
