"""A user's map, applied to two runs."""

__all__ = ["apply_name_map"]

import re
from collections import defaultdict
from collections.abc import Iterable

from outgrow.compare.names.entity import Entity
from outgrow.compare.names.match import Match, Matcher
from outgrow.compare.names.name_map import NameMap, NameRule
from outgrow.errors import InputError, nearest_names

_HOLE = re.compile(r"\*|\{([A-Za-z_]\w*)([+-][0-9]+)?\}")


def apply_name_map(name_map: NameMap, matcher: Matcher) -> None:
    """Pair what the map says; what it pairs is not looked at by anybody else.

    Raises:
        InputError: a rule names what is not there, none of what a pattern is about is there, or two rules
            want the same tensor.
    """
    left, right = _by_name(matcher.expected), _by_name(matcher.actual)
    taken: dict[str, tuple[str, NameRule]] = {}
    answers: dict[str, tuple[str, NameRule]] = {}
    for rule in name_map.rules:
        wanted = [(name, _fill(rule, found)) for name in left if (found := _fits(rule, name)) is not None]
        if not wanted:
            _refuse_unknown(rule, rule.expected, "expected", left)
        there = [(name, other) for name, other in wanted if other is not None and other in right]
        if not there:
            _refuse_unknown(rule, wanted[0][1] or rule.actual, "actual", right)
        for name, other in there:
            for side, key, value in ((taken, name, other), (answers, other, name)):
                before = side.setdefault(key, (value, rule))
                if before[1] is not rule and before[0] != value:
                    raise InputError(
                        f"two rules of the map want {key!r}: {before[1]} and {rule}", hint="keep one of them"
                    )
                if before[0] != value:
                    raise InputError(f"{rule} gives {key!r} to two tensors", hint="make its pattern narrower")
    for name, (other, rule) in taken.items():
        _pair(matcher, left[name], right[other], rule)


def _by_name(entities: Iterable[Entity]) -> dict[str, list[Entity]]:
    """By the names that the user knows, and without the folder that all of a run have."""
    found: dict[str, list[Entity]] = defaultdict(list)
    shorter: dict[str, list[Entity]] = defaultdict(list)
    for entity in entities:
        found[entity.record.name].append(entity)
        if entity.name != entity.record.name:
            shorter[entity.name].append(entity)
    return (
        {**shorter, **found}
        if not found
        else {**found, **{k: v for k, v in shorter.items() if k not in found}}
    )


def _fits(rule: NameRule, name: str) -> list[str] | None:
    if not rule.is_pattern:
        return [] if name == rule.expected else None
    parts, last = [], 0
    for hole in _HOLE.finditer(rule.expected):
        parts += [
            re.escape(rule.expected[last : hole.start()]),
            "(?<![0-9])([0-9]+)(?![0-9])" if hole[1] else "(.*)",
        ]
        last = hole.end()
    parts.append(re.escape(rule.expected[last:]))
    found = re.fullmatch("".join(parts), name, re.DOTALL)
    return None if found is None else list(found.groups())


def _fill(rule: NameRule, values: list[str]) -> str | None:
    """The actual name; None where a number would fall below zero."""
    holes = list(_HOLE.finditer(rule.expected))
    numbers = {hole[1]: value for hole, value in zip(holes, values, strict=True) if hole[1]}
    stars = iter([value for hole, value in zip(holes, values, strict=True) if not hole[1]])
    parts, last = [], 0
    for hole in _HOLE.finditer(rule.actual):
        parts.append(rule.actual[last : hole.start()])
        last = hole.end()
        if not hole[1]:
            parts.append(next(stars))
        elif hole[2] is None:
            parts.append(numbers[hole[1]])
        else:
            number = int(numbers[hole[1]]) + int(hole[2])
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


def _pair(matcher: Matcher, expected: list[Entity], actual: list[Entity], rule: NameRule) -> None:
    """Call by call and step by step, where a name has several."""
    answers = {(entity.record.kind, entity.step, entity.record.call): entity for entity in actual}
    is_lone = len(expected) == len(actual) == 1
    for entity in expected:
        other = actual[0] if is_lone else answers.get((entity.record.kind, entity.step, entity.record.call))
        if other is not None and not entity.is_doubled and not other.is_doubled:
            matcher.take(Match(entity, other, "map", layout_hint=rule.layout))
