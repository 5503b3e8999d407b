"""For names without a partner, those on the other side that look most like them; bounded in time."""

__all__ = ["find_near"]

import difflib
import itertools
import re
from collections import defaultdict
from collections.abc import Sequence

_WORDS = re.compile(r"[0-9]+|[a-z]+")
# Names are first compared as patterns, without their numbers: a run has few of these.
_MAX_PATTERNS = 400
_CANDIDATES = 12
_POSTINGS = 64
_WORDS_LOOKED_UP = 4
# Of the patterns beyond those, only the names with the rarest word are looked at.
_FEW = 8
_SHOWN = 80
_DIGITS = re.compile(r"[0-9]+")
_CUTOFF = 0.5

_Patterns = dict[str, dict[tuple[str, ...], str]]
"""By what is equal in them, then by their numbers."""


def find_near(names: Sequence[str], others: Sequence[str], *, count: int = 3) -> dict[str, tuple[str, ...]]:
    """For each name up to `count` others, best first; names that nothing is like are left out.

    Time grows with the number of names, not with its square: names are compared by their patterns, and
    where there are more than a few hundred of these, only with those that share their rarest words.
    """
    patterns: _Patterns = defaultdict(dict)
    for other in others:
        patterns[_pattern(other)][tuple(_DIGITS.findall(other))] = other
    postings = _index(patterns)
    looked_up: dict[str, list[str]] = {}
    near = {}
    for name in names:
        pattern = _pattern(name)
        if pattern not in looked_up:
            is_costly = len(looked_up) >= _MAX_PATTERNS
            looked_up[pattern] = _like(pattern, patterns, postings, count, is_costly=is_costly)
        found: list[str] = []
        for like in looked_up[pattern]:
            found += _same_numbers(name, patterns[like])[: count - len(found)]
            if len(found) == count:
                break
        if found:
            near[name] = tuple(found)
    return near


def _pattern(name: str) -> str:
    """Without numbers, and without the middle of a name that nobody can read."""
    if len(name) > 2 * _SHOWN:
        name = f"{name[:_SHOWN]}...{name[-_SHOWN:]}"
    return _DIGITS.sub("#", name.casefold())


def _index(patterns: _Patterns) -> dict[str, list[str]]:
    postings: dict[str, list[str]] = defaultdict(list)
    for pattern in patterns:
        for word in set(_WORDS.findall(pattern)):
            postings[word].append(pattern)
    return postings


def _like(
    pattern: str, patterns: _Patterns, postings: dict[str, list[str]], count: int, *, is_costly: bool
) -> list[str]:
    if pattern in patterns:
        return [pattern]
    if len(patterns) <= _CANDIDATES:
        candidates = list(patterns)
    else:
        votes: dict[str, float] = defaultdict(float)
        words = sorted(set(_WORDS.findall(pattern)), key=lambda word: len(postings.get(word, ())))
        words = [word for word in words if word in postings]
        for word in words[: 1 if is_costly else _WORDS_LOOKED_UP]:
            for other in postings[word][: _FEW if is_costly else _POSTINGS]:
                votes[other] += len(word)
        candidates = sorted(votes, key=lambda other: (-votes[other], abs(len(other) - len(pattern)), other))
        candidates = candidates[:_CANDIDATES]
    if is_costly:
        return candidates[:count]
    return difflib.get_close_matches(pattern, candidates, n=count, cutoff=_CUTOFF)


def _same_numbers(name: str, others: dict[tuple[str, ...], str]) -> list[str]:
    """Those with the same numbers first."""
    same = others.get(tuple(_DIGITS.findall(name)))
    few = list(itertools.islice(others.values(), 3))
    return few if same is None else list(dict.fromkeys([same, *few]))
