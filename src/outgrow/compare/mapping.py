"""All that was paired and laid out, as a map that says it again."""

__all__ = ["for_all_layers", "mapping_text", "whole_map"]

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from outgrow.capture.recording import Recording
from outgrow.compare.comparison import Comparison
from outgrow.compare.layout import StageLayout, group_of, hint_of
from outgrow.compare.names import NameMap, NameRule, pair_records, text_of
from outgrow.compare.names.entity import collect
from outgrow.compare.names.known_names import KnownNames
from outgrow.compare.names.name_map import HOLE
from outgrow.compare.names.spelling import layer_span
from outgrow.compare.pair import Pair, Pairing
from outgrow.names import printable

_WORDS = ("query", "key", "value", "gate", "up")
_PLAIN = re.compile(r"[\w./\[\]@+,;:-]+")
_PART = re.compile(r"\[(?:query|key|value|gate|up)\]$")
_Key = tuple[str, str]


def mapping_text(comparison: Comparison) -> str:
    """A file for `outgrow compare --map` with which the same tensors are compared in the same layouts: every
    pair, what has no partner, and how each is laid out. What a map cannot say is in a comment."""
    rules, unsaid = whole_map(comparison)
    lines = [f"# what a map cannot say: {printable(name)}\n" for name in unsaid]
    return f"# expected = actual : layout\n{''.join(lines)}{text_of(rules.rules)}"


def whole_map(comparison: Comparison) -> tuple[NameMap, tuple[str, ...]]:
    """Rules for all pairs, those of layers as one pattern; and expected names that rules cannot say it of,
    since one name is paired in several ways."""
    pairing = comparison.pairing
    names = _main_names((comparison.expected,)) | _main_names(comparison.actual)
    pairs = _keys(pairing.pairs, names)
    hints = _hints(list(zip(pairs, pairing.pairs, comparison.layouts, strict=True)))
    rules = [_rule(here, there, hints.get((here, there))) for here, there in dict.fromkeys(pairs)]
    paired = {_PART.sub("", here) for here, _ in pairs} | {here for here, _ in pairs}
    lone = dict.fromkeys(names[id(record)] for record in pairing.unpaired_expected)
    rules += [_rule(name, None, None) for name in lone if name not in paired]
    known = KnownNames(collect((comparison.expected,)).entities)
    for attempt in (_by_layer(rules, known), rules):
        name_map = NameMap(rules=tuple(attempt))
        unsaid = _unsaid(comparison, name_map)
        if not unsaid:
            break
    return name_map, unsaid


def _main_names(recordings: Sequence[Recording]) -> dict[int, str]:
    """How a map calls each record."""
    found: dict[int, str] = {}
    for entity in collect(recordings).entities:
        found |= dict.fromkeys(map(id, entity.records.values()), entity.record.name)
    return found


def _keys(pairs: Sequence[Pair], names: Mapping[int, str]) -> list[_Key]:
    """Both sides of the rule that each pair needs."""
    made = []
    for pair in pairs:
        here, there = names.get(id(pair.expected), pair.expected.name), names.get(id(pair.actual[0]), "")
        if pair.fused is not None:
            part = f"[{pair.fused.parts[pair.fused.index]}]"
            here, there = (here + part, there) if pair.fused.side == "expected" else (here, there + part)
        made.append((here, there))
    # The input of a fused layer is the whole one for each of its parts: which word is theirs means nothing.
    for side in (0, 1):
        answers: dict[str, dict[str, None]] = defaultdict(dict)
        for key in made:
            answers[key[side]][key[1 - side]] = None
        for place, key in enumerate(made):
            several = list(answers[key[side]])
            if len(several) > 1:
                word = f"[{_WORDS[several.index(key[1 - side]) % len(_WORDS)]}]"
                made[place] = (key[0] + word, key[1]) if side == 0 else (key[0], key[1] + word)
    return made


def _hints(rows: Sequence[tuple[_Key, Pair, StageLayout]]) -> dict[_Key, str]:
    """The layout of each rule. Tensors that are searched together are all told, or none of them: else those
    that are not would be searched without the others."""
    texts: dict[_Key, set[str | None]] = defaultdict(set)
    groups: dict[object, set[_Key]] = defaultdict(set)
    for key, pair, found in rows:
        texts[key].add(_hint(pair, found))
        group = group_of(pair)
        if group is not None:
            groups[group].add(key)
    open_keys = {key for key, found in texts.items() if len(found) > 1 or None in found}
    while True:
        more = {key for keys in groups.values() if keys & open_keys for key in keys} - open_keys
        if not more:
            break
        open_keys |= more
    return {key: text for key, (text, *_) in texts.items() if key not in open_keys and text}


def _hint(pair: Pair, found: StageLayout) -> str | None:
    """Empty where the shapes alone decide; None where it cannot be said."""
    if pair.layout_hint is not None:
        return pair.layout_hint
    if group_of(pair) is None:
        return ""
    return None if found.layout is None else hint_of(found.layout, found.expected_layout)


def _rule(here: str, there: str | None, layout: str | None) -> NameRule:
    is_literal = any(side is not None and HOLE.search(side) is not None for side in (here, there))
    return NameRule(expected=here, actual=there, layout=layout, is_literal=is_literal)


def _by_layer(rules: Iterable[NameRule], known: KnownNames) -> list[NameRule]:
    """Rules that differ in the layer's number alone as one, where that says nothing of other tensors."""
    groups: dict[NameRule, list[NameRule]] = defaultdict(list)
    by_name: dict[str, set[NameRule]] = defaultdict(set)
    for rule in rules:
        pattern = for_all_layers(rule) or rule
        groups[pattern].append(rule)
        by_name[_whole(rule)].add(pattern)
    # The largest first: what is left of small ones stays as names, which go before patterns.
    as_they_are: set[str] = set()
    chosen: set[NameRule] = set()
    for pattern, alike in sorted(groups.items(), key=lambda group: -len(group[1])):
        about = {_whole(rule) for rule in alike}
        others = {name for name, _ in known.fitting(_whole(pattern))} - about
        rest = {other for name in others for other in by_name.get(name, ())}
        left = {_whole(rule) for other in rest for rule in groups[other]}
        if len(alike) < 2 or about & as_they_are or not others <= left or 2 * len(left) > len(alike):
            continue
        chosen.add(pattern)
        as_they_are |= left
    made: list[NameRule] = []
    for pattern, alike in groups.items():
        made += [pattern] if pattern in chosen else alike
    return made


def _whole(rule: NameRule) -> str:
    """The expected name, without which part of it."""
    return _PART.sub("", rule.expected or "")


def for_all_layers(rule: NameRule) -> NameRule | None:
    """The same of every layer; None where the names have no layer's number, or the two do not go together."""
    if rule.is_literal or rule.expected is None or _PLAIN.fullmatch(rule.expected) is None:
        return None
    here = layer_span(rule.expected)
    if here is None:
        return None
    expected = f"{rule.expected[: here[0]]}{{layer}}{rule.expected[here[1] :]}"
    if rule.actual is None:
        return replace(rule, expected=expected)
    there = layer_span(rule.actual)
    if there is None or _PLAIN.fullmatch(rule.actual) is None:
        return None
    one, other = rule.expected[slice(*here)], rule.actual[slice(*there)]
    shift = int(other) - int(one)
    if one != other and (not shift or other != str(int(other)) or one != str(int(one))):
        return None
    hole = f"{{layer{shift:+d}}}" if shift else "{layer}"
    return replace(
        rule, expected=expected, actual=f"{rule.actual[: there[0]]}{hole}{rule.actual[there[1] :]}"
    )


def _unsaid(comparison: Comparison, name_map: NameMap) -> tuple[str, ...]:
    """Expected names that this map pairs otherwise than the comparison does."""
    again = pair_records(comparison.expected, comparison.actual, name_map=name_map)
    differing = _told(comparison.pairing).keys() ^ _told(again).keys()
    both = _told(comparison.pairing) | _told(again)
    return tuple(dict.fromkeys(both[key] for key in both if key in differing))


def _told(pairing: Pairing) -> dict[object, str]:
    """What pairs are about, and what the expected tensors are called."""
    return {
        (
            id(pair.expected), *map(id, pair.actual), pair.fused and (pair.fused.side, pair.fused.index),
            pair.stage,
        ): pair.expected_name
        for pair in pairing.pairs
    }  # fmt: skip
