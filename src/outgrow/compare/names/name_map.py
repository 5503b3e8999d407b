"""The user's word on which names answer each other, as text or JSON."""

__all__ = ["NameMap", "NameRule", "parse_name_map"]

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from outgrow.errors import InputError

_HOLE = re.compile(r"\*|\{(?P<name>[A-Za-z_]\w*)(?P<shift>[+-][0-9]{1,9})?\}")
_FORM = "a line is `expected = actual`, or `expected = actual : permute(1, 0, 2)`; `#` begins a comment"
_MAX_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRule:
    """One line of a map."""

    expected: str
    """A name; `*` is any text, `{layer}` or another word in braces is a number."""
    actual: str
    """The name that answers it, with as many `*`; `{layer-3}` is that number less three."""
    layout: str | None = None
    """How the actual tensor has to be put, as the user wrote it."""
    line: int | None = None
    """Where it is written; None for a mapping."""

    @property
    def is_pattern(self) -> bool:
        """Whether it is about several names."""
        return _HOLE.search(self.expected) is not None

    def __str__(self) -> str:
        return f"{self.expected} = {self.actual}" + (f" (line {self.line})" if self.line is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameMap:
    """All rules of a map."""

    rules: tuple[NameRule, ...]


def parse_name_map(source: str | PathLike[str] | Mapping[str, str]) -> NameMap:
    """Read a map from a file, or take a mapping from expected to actual names.

    Text has a rule on each line, JSON is an object from expected to actual names; either may have patterns.

    Raises:
        InputError: the file cannot be read; a rule, named by its line, is none, or is there twice.
    """
    if isinstance(source, Mapping):
        rules = [_rule(expected, actual, None) for expected, actual in source.items()]
    else:
        text = _read(Path(source))
        rules = list(
            _from_json(text) if text.lstrip().startswith("{") and _is_json(text) else _from_text(text)
        )
    _refuse_doubles(rules)
    return NameMap(rules=tuple(rules))


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(
                f"the map {str(path)!r} has more than 16 MiB", hint="use patterns: `*`, `{layer}`"
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(
            f"cannot read the map {str(path)!r}: {err}", hint="give a text or JSON file"
        ) from err


def _is_json(text: str) -> bool:
    """`{layer}_query = ...` begins with a brace, too."""
    return re.match(r'\s*\{\s*["}]', text) is not None


def _from_json(text: str) -> Iterator[NameRule]:
    def keep_doubles(pairs: list[tuple[str, object]]) -> list[tuple[str, object]]:
        return pairs

    try:
        content = json.loads(text, object_pairs_hook=keep_doubles)
    except (ValueError, RecursionError) as err:
        raise InputError(f"the map is no JSON: {err}", hint="or write text: " + _FORM) from err
    for expected, actual in content:
        if not isinstance(actual, str):
            raise InputError(
                f"the map has no name for {expected!r}", hint="it is an object from names to names"
            )
        yield _rule(expected, actual, None)


def _from_text(text: str) -> Iterator[NameRule]:
    for number, line in enumerate(text.splitlines(), 1):
        content = re.sub(r"(^|\s)#.*", "", line).strip()
        if not content:
            continue
        expected, sign, actual = content.partition(" = ")
        if not sign:
            expected, sign, actual = content.partition("=")
        if not sign or not expected.strip() or not actual.strip():
            raise InputError(f"line {number} of the map is no rule: {line.strip()!r}", hint=_FORM)
        yield _rule(expected, actual, number)


def _rule(expected: str, actual: str, line: int | None) -> NameRule:
    actual, sign, layout = actual.partition(" : ")
    rule = NameRule(
        expected=expected.strip(), actual=actual.strip(), layout=layout.strip() if sign else None, line=line
    )
    if not rule.expected or not rule.actual:
        raise InputError(f"the map has a rule without a name: {rule}", hint=_FORM)
    holes = list(_HOLE.finditer(rule.expected))
    names = [hole["name"] for hole in holes if hole["name"]]
    if any(hole["shift"] for hole in holes) or len(set(names)) != len(names):
        raise InputError(
            f"the expected side of {rule} has a shift, or a number twice",
            hint="shift the actual side: `{layer}_query = {layer-3}_query`",
        )
    answers = list(_HOLE.finditer(rule.actual))
    unknown = [hole["name"] for hole in answers if hole["name"] and hole["name"] not in names]
    stars = [sum(not hole["name"] for hole in side) for side in (holes, answers)]
    if unknown or stars[0] != stars[1] or (names and not answers):
        raise InputError(
            f"the two sides of {rule} do not fit each other",
            hint="each `*` and `{word}` of the one side is on the other one, too",
        )
    return rule


def _refuse_doubles(rules: list[NameRule]) -> None:
    for side in ("expected", "actual"):
        seen: dict[str, NameRule] = {}
        for rule in rules:
            first = seen.setdefault(getattr(rule, side), rule)
            if first is not rule:
                raise InputError(
                    f"the map has {getattr(rule, side)!r} twice: {first} and {rule}", hint="keep one of them"
                )
