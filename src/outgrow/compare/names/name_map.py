"""The user's word on which names answer each other, as text or JSON."""

__all__ = ["NameMap", "NameRule", "make_rule", "parse_name_map", "text_of"]

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from outgrow.errors import InputError

HOLE = re.compile(r"\*|\{(?P<name>[A-Za-z_]\w*)(?P<shift>[+-][0-9]{1,9})?\}")
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_SIDE_QUOTED = re.compile(rf"(?:(?<==)|^)(\s*)({_QUOTED})(?=\s*(?:=|#|$)|\s+:\s)")
_KEPT = re.compile(r"\0([0-9]+)\0")
_PLAIN = re.compile(r"[^\s\"*{}#=]+")
"""Names that need no quotes."""
_NOTHING = "-"
_FORM = (
    "a line is `expected = actual`, or `expected = actual : permute(1, 0, 2)`; `-` is nothing, a name with "
    'odd characters is put in quotes as in JSON: "a = b"; `#` begins a comment'
)
_MAX_BYTES = 16 * 2**20
# Each of them multiplies the time that a long name may take.
_MOST_STARS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRule:
    """One line of a map."""

    expected: str | None
    """A name; `*` is any text, `{layer}` or another word in braces is a number. A part of a fused tensor is
    `name[query]`. None: the actual tensor has no partner."""
    actual: str | None
    """The name that answers it, with as many `*`; `{layer-3}` is that number less three. None: the expected
    tensor has no partner."""
    layout: str | None = None
    """How both tensors have to be put, as the user wrote it."""
    is_literal: bool = False
    """Whether `*` and braces are just characters of the names."""
    line: int | None = None
    """Where it is written; None for a mapping."""

    @property
    def is_pattern(self) -> bool:
        """Whether it is about several names."""
        if self.is_literal:
            return False
        return any(
            side is not None and HOLE.search(side) is not None for side in (self.expected, self.actual)
        )

    @property
    def sides(self) -> tuple[str, str]:
        """Both as they stand in a map: in quotes where they have to be, `-` for nothing."""
        here, there = (_side_text(side, is_literal=self.is_literal) for side in (self.expected, self.actual))
        return here, there

    @property
    def text(self) -> str:
        """As a line of a map, which `parse_name_map` reads as the same."""
        return " = ".join(self.sides) + ("" if self.layout is None else f" : {self.layout}")

    def __str__(self) -> str:
        return " = ".join(self.sides) + (f" (line {self.line})" if self.line is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameMap:
    """All rules of a map."""

    rules: tuple[NameRule, ...]


def parse_name_map(source: str | PathLike[str] | Mapping[str, str | None]) -> NameMap:
    """Read a map from a file, or take a mapping from expected to actual names.

    Text has a rule on each line, JSON is an object from expected to actual names; either may have patterns.

    Raises:
        InputError: the file cannot be read; a rule, named by its line, is none, or is there twice.
    """
    if isinstance(source, Mapping):
        rules = [make_rule(expected, actual) for expected, actual in source.items()]
    else:
        text = _read(Path(source))
        rules = list(
            _from_json(text) if text.lstrip().startswith("{") and _is_json(text) else _from_text(text)
        )
    _refuse_doubles(rules)
    return NameMap(rules=tuple(rules))


def text_of(rules: Iterable[NameRule]) -> str:
    """A file that `parse_name_map` reads as the same rules.

    Raises:
        InputError: a pattern has characters that mean something else in text, and cannot be put in quotes.
    """
    lines = []
    for rule in rules:
        try:
            is_same = [*_from_text(rule.text)] == [replace(rule, line=1)]
        except InputError:
            is_same = False
        if not is_same:
            raise InputError(
                f"the pattern {rule} cannot be written as a line of a map", hint="write the map as JSON"
            )
        lines.append(f"{rule.text}\n")
    return "".join(lines)


def _side_text(name: str | None, *, is_literal: bool) -> str:
    """One side of a rule: in quotes where it would be read as something else."""
    if name is None:
        return _NOTHING
    is_plain = _PLAIN.fullmatch(name) is not None and name.isprintable() and name != _NOTHING
    is_name = is_literal or HOLE.search(name) is None
    return json.dumps(name) if is_name and not is_plain else name


def make_rule(
    expected: str | None, actual: str | None, layout: str | None = None, *, line: int | None = None
) -> NameRule:
    """A rule of two sides as they stand in a map: names, patterns, names in quotes, `-`; None is nothing. The
    layout may stand behind the actual side.

    Raises:
        InputError: they are none, or do not fit each other.
    """
    if actual is not None and layout is None:
        actual, layout = _split_layout(actual)
    (here, is_here), (there, is_there) = _side(expected), _side(actual)
    with_holes = [
        is_quoted
        for side, is_quoted in ((here, is_here), (there, is_there))
        if side is not None and HOLE.search(side) is not None
    ]
    rule = NameRule(
        expected=here,
        actual=there,
        layout=(layout or "").strip() or None,
        is_literal=any(with_holes),
        line=line,
    )
    if len(set(with_holes)) > 1:
        raise InputError(
            f"of the two sides of {expected} = {actual} one is a pattern and one is in quotes",
            hint="what is in quotes is a name as it stands: put both in quotes, or none",
        )
    _check(rule)
    return rule


def _side(text: str | None) -> tuple[str | None, bool]:
    """The name, and whether it stood in quotes."""
    stripped = None if text is None else text.strip()
    if stripped is None or stripped == _NOTHING:
        return None, False
    if re.fullmatch(_QUOTED, stripped, re.DOTALL) is None:
        return stripped, False
    try:
        return str(json.loads(stripped)), True
    except ValueError as err:
        raise InputError(f"{stripped} is no name in quotes: {err}", hint=_FORM) from err


def _split_layout(actual: str) -> tuple[str, str | None]:
    found = re.match(rf"\s*({_QUOTED})\s*(?: :(.*))?$", actual, re.DOTALL)
    if found is not None:
        return found[1], found[2]
    name, sign, layout = actual.partition(" : ")
    return name, layout if sign else None


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
        if not isinstance(actual, str | None):
            raise InputError(
                f"the map has no name for {expected!r}", hint="it is an object from names to names or null"
            )
        yield make_rule(expected, actual)


def _from_text(text: str) -> Iterator[NameRule]:
    for number, line in enumerate(text.splitlines(), 1):
        kept: list[str] = []

        def keep(found: re.Match[str], kept: list[str] = kept) -> str:
            kept.append(found[2])
            return f"{found[1]}\0{len(kept) - 1}\0"

        def restore(side: str, kept: list[str] = kept) -> str:
            return _KEPT.sub(lambda found: kept[int(found[1])], side)

        # What stands in quotes may look like a comment or a sign.
        masked = line if "\0" in line else _SIDE_QUOTED.sub(keep, line)
        content = re.sub(r"(^|\s)#.*", "", masked).strip()
        if not content:
            continue
        expected, sign, actual = content.partition(" = ")
        if not sign:
            expected, sign, actual = content.partition("=")
        if not sign or not expected.strip() or not actual.strip():
            raise InputError(f"line {number} of the map is no rule: {line.strip()!r}", hint=_FORM)
        yield make_rule(restore(expected), restore(actual), line=number)


def _check(rule: NameRule) -> None:
    if rule.expected == "" or rule.actual == "" or rule.expected is rule.actual is None:
        raise InputError(f"the map has a rule without a name: {rule}", hint=_FORM)
    if None in (rule.expected, rule.actual) and rule.layout is not None:
        raise InputError(f"{rule} has a layout, but only one tensor", hint="leave the layout out")
    if rule.is_literal:
        return
    holes, answers = ([*HOLE.finditer(side or "")] for side in (rule.expected, rule.actual))
    names = [hole["name"] for hole in holes if hole["name"]]
    stars = [sum(not hole["name"] for hole in side) for side in (holes, answers)]
    if max(stars) > _MOST_STARS:
        raise InputError(
            f"{rule} has more than {_MOST_STARS} `*` on a side", hint="use `{word}` where a number stands"
        )
    if any(hole["shift"] for hole in holes) or len(set(names)) != len(names):
        raise InputError(
            f"the expected side of {rule} has a shift, or a number twice",
            hint="shift the actual side: `{layer}_query = {layer-3}_query`",
        )
    if rule.expected is None and any(hole["shift"] for hole in answers):
        raise InputError(f"{rule} shifts a number that nothing answers", hint="leave the shift out")
    if rule.actual is None or rule.expected is None:
        return
    unknown = [hole["name"] for hole in answers if hole["name"] and hole["name"] not in names]
    if unknown or stars[0] != stars[1] or (names and not answers):
        raise InputError(
            f"the two sides of {rule} do not fit each other",
            hint="each `*` and `{word}` of the one side is on the other one, too",
        )


def _refuse_doubles(rules: Iterable[NameRule]) -> None:
    for side in ("expected", "actual"):
        seen: dict[str, NameRule] = {}
        for rule in rules:
            name = getattr(rule, side)
            first = rule if name is None else seen.setdefault(name, rule)
            if first is not rule:
                raise InputError(f"the map has {name!r} twice: {first} and {rule}", hint="keep one of them")
