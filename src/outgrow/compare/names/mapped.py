"""A user's map, applied to two runs."""

__all__ = ["apply_name_map"]

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from outgrow.compare.names.entity import Entity
from outgrow.compare.names.fused import fused_roles
from outgrow.compare.names.known_names import KnownNames
from outgrow.compare.names.match import Match, Matcher
from outgrow.compare.names.name_map import HOLE, NameMap, NameRule
from outgrow.compare.pair import FusedPart
from outgrow.errors import InputError, nearest_names

_PART = re.compile(r"\[(query|key|value|gate|up)\]$")


@dataclass(frozen=True, slots=True)
class _Place:
    """A name, or a part of what is called so."""

    name: str
    part: str | None

    def __str__(self) -> str:
        return self.name if self.part is None else f"{self.name}[{self.part}]"


def apply_name_map(name_map: NameMap, matcher: Matcher) -> None:
    """Pair what the map says; what it pairs, or says to have no partner, is not looked at by anybody else.
    A rule with a name goes before one with a pattern.

    Raises:
        InputError: a rule names what is not there, none of what a pattern is about is there, or two rules
            want the same tensor.
    """
    left, right = KnownNames(matcher.expected), KnownNames(matcher.actual)
    taken: dict[_Place, tuple[_Place | None, NameRule]] = {}
    answers: dict[_Place, tuple[_Place | None, NameRule]] = {}
    for rule in sorted(name_map.rules, key=lambda rule: rule.is_pattern):
        for here, there in _meant(rule, left, right):
            if rule.is_pattern and (_is_named(taken, here) or _is_named(answers, there)):
                continue
            for side, key, value in ((taken, here, there), (answers, there, here)):
                if key is None:
                    continue
                before = side.setdefault(key, (value, rule))
                if before[1] is not rule and before[0] != value:
                    raise InputError(
                        f"two rules of the map want {str(key)!r}: {before[1]} and {rule}",
                        hint="keep one of them",
                    )
                if before[0] != value:
                    raise InputError(
                        f"{rule} gives {str(key)!r} to two tensors", hint="make its pattern narrower"
                    )
    for known, side in ((left, taken), (right, answers)):
        _refuse_halves(side, known)
    _drop(matcher, taken, left, is_expected=True)
    _drop(matcher, answers, right, is_expected=False)
    parts = {True: _words(taken), False: _words(answers)}
    for here, (there, rule) in taken.items():
        if there is not None:
            _pair(matcher, left[here.name], right[there.name], (here, there), rule, parts)


def _is_named(side: dict[_Place, tuple[_Place | None, NameRule]], place: _Place | None) -> bool:
    """Whether a rule is about this tensor by its name."""
    return place is not None and place in side and not side[place][1].is_pattern


def _meant(
    rule: NameRule, left: KnownNames, right: KnownNames
) -> Iterator[tuple[_Place | None, _Place | None]]:
    """Who answers whom by one rule."""
    if rule.expected is None:
        assert rule.actual is not None, "a rule has a name"
        found = _find(rule, rule.actual, right)
        if not found:
            _refuse_unknown(rule, rule.actual, "actual", right)
        yield from ((None, place) for place, _ in found)
        return
    wanted = [(place, _fill(rule, values)) for place, values in _find(rule, rule.expected, left)]
    if not wanted:
        _refuse_unknown(rule, rule.expected, "expected", left)
    if rule.actual is None:
        yield from ((place, None) for place, _ in wanted)
        return
    there: dict[_Place, _Place] = {}
    for place, name in wanted:
        if name is not None and (other := _place(name, right)) is not None:
            there.setdefault(place, other)
    if not there:
        _refuse_unknown(rule, wanted[0][1] or rule.actual, "actual", right)
    for place, other in there.items():
        if place.part is not None and other.part is not None:
            raise InputError(
                f"{rule} pairs a part of a fused tensor with a part of another one",
                hint="pair the fused tensors themselves, or give each part a tensor of its own",
            )
        yield place, other


def _find(rule: NameRule, side: str, known: KnownNames) -> list[tuple[_Place, list[str]]]:
    if rule.is_literal or HOLE.search(side) is None:
        place = _place(side, known)
        return [] if place is None else [(place, [])]
    found = [(_Place(name, None), values) for name, values in known.fitting(side)]
    part = _PART.search(side)
    if not found and part is not None:
        found = [(_Place(name, part[1]), values) for name, values in known.fitting(side[: part.start()])]
    return found


def _place(name: str, known: KnownNames) -> _Place | None:
    """A name goes before a part: there are names that end in brackets."""
    if name in known:
        return _Place(known.main_name(name), None)
    part = _PART.search(name)
    if part is not None and name[: part.start()] in known:
        return _Place(known.main_name(name[: part.start()]), part[1])
    return None


def _fill(rule: NameRule, values: list[str]) -> str | None:
    """The actual name; None where a number would fall below zero, or there is none."""
    if rule.actual is None or rule.is_literal:
        return rule.actual
    holes = list(HOLE.finditer(rule.expected or ""))
    numbers = {hole["name"]: value for hole, value in zip(holes, values, strict=True) if hole["name"]}
    stars = iter([value for hole, value in zip(holes, values, strict=True) if not hole["name"]])
    parts, last = [], 0
    for hole in HOLE.finditer(rule.actual):
        parts.append(rule.actual[last : hole.start()])
        last = hole.end()
        if not hole["name"]:
            parts.append(next(stars))
        elif hole["shift"] is None:
            parts.append(numbers[hole["name"]])
        else:
            number = int(numbers[hole["name"]]) + int(hole["shift"])
            if number < 0:
                return None
            parts.append(str(number))
    return "".join([*parts, rule.actual[last:]])


def _refuse_unknown(rule: NameRule, name: str, side: str, known: Iterable[str]) -> None:
    near = ", ".join(map(repr, nearest_names(name, known)))
    raise InputError(
        f"the {side} run has nothing that {rule} is about: {name!r}",
        hint=f"the nearest names are {near}" if near else "no name is like it",
    )


def _refuse_halves(side: dict[_Place, tuple[_Place | None, NameRule]], known: KnownNames) -> None:
    """A tensor is paired as a whole or by its parts, and by one of its names."""
    seen: dict[int, list[tuple[_Place, NameRule]]] = defaultdict(list)
    for place, (_, rule) in side.items():
        for entity in known[place.name]:
            for other, before in seen[id(entity)]:
                if None in (place.part, other.part) or place.part == other.part:
                    raise InputError(
                        f"two rules of the map want {str(place)!r}: {before} and {rule}",
                        hint="keep one of them",
                    )
            seen[id(entity)].append((place, rule))


def _drop(
    matcher: Matcher,
    side: dict[_Place, tuple[_Place | None, NameRule]],
    known: KnownNames,
    *,
    is_expected: bool,
) -> None:
    for place, (other, rule) in side.items():
        if other is None and place.part is not None:
            raise InputError(
                f"{rule} says of a part of a fused tensor that it has no partner",
                hint="leave the rule out, or say it of the tensor that would answer it",
            )
        for entity in known[place.name] if other is None else ():
            (matcher.expected if is_expected else matcher.actual).pop(entity, None)


def _words(side: dict[_Place, tuple[_Place | None, NameRule]]) -> dict[str, list[str]]:
    """The parts that rules are about, by name."""
    found: dict[str, list[str]] = defaultdict(list)
    for place in side:
        if place.part is not None:
            found[place.name].append(place.part)
    return found


def _pair(
    matcher: Matcher,
    expected: list[Entity],
    actual: list[Entity],
    places: tuple[_Place, _Place],
    rule: NameRule,
    parts: dict[bool, dict[str, list[str]]],
) -> None:
    """Call by call and step by step, where a name has several."""
    answers = {(entity.record.kind, entity.step, entity.record.call): entity for entity in actual}
    is_lone = len(expected) == len(actual) == 1
    here, there = places
    for entity in expected:
        other = actual[0] if is_lone else answers.get((entity.record.kind, entity.step, entity.record.call))
        if other is None or entity.is_doubled or other.is_doubled:
            continue
        piece = None
        if here.part is not None:
            piece = _piece(entity, other, here, parts[True][here.name], rule, is_expected=True)
        elif there.part is not None:
            piece = _piece(other, entity, there, parts[False][there.name], rule, is_expected=False)
        match = Match(entity, other, "map", fused=piece, layout_hint=rule.layout)
        if piece is None:
            matcher.take(match)
        else:
            matcher.take_part(match, piece)


def _piece(
    whole: Entity, part: Entity, place: _Place, words: list[str], rule: NameRule, *, is_expected: bool
) -> FusedPart | None:
    if whole.spelling.what == "inputs":
        # All parts get the whole input of the fused layer.
        return None
    roles = fused_roles(
        None if whole.role is None else whole.role.stage,
        words,
        is_all=len(words) * part.record.elements == whole.record.elements,
    )
    if place.part not in roles:
        raise InputError(
            f"{rule}: {whole.record.name!r} has no part {place.part!r}", hint=f"it has {', '.join(roles)}"
        )
    return FusedPart(
        side="expected" if is_expected else "actual",
        parts=roles,
        index=roles.index(place.part or ""),
        group=whole.record.name,
    )
