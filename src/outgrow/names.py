"""Qualified names of modules and weights: globs and the order in which a person would list them."""

__all__ = ["join_name", "matches", "natural_key", "printable"]

import fnmatch
import re

_DIGITS = re.compile(r"([0-9]+)")


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts `layers.2` before `layers.10`."""
    return tuple(_part_key(part) for part in _DIGITS.split(name) if part)


def _part_key(part: str) -> tuple[int, int, str]:
    if not _DIGITS.fullmatch(part):
        return 1, 0, part
    # As text, because Python refuses to read numbers of thousands of digits: a longer one is larger.
    digits = part.lstrip("0")
    return 0, len(digits), digits


def matches(name: str, pattern: str) -> bool:
    """Whether a qualified name fits a glob; `*` also crosses dots, so `layers.*` takes in all below."""
    return fnmatch.fnmatchcase(name, pattern)


def join_name(prefix: str, name: str) -> str:
    """`prefix.name`, without a dot where either is empty."""
    return f"{prefix}.{name}" if prefix and name else prefix or name


def printable(text: str, *, keep: str = "") -> str:
    """A text from a file with whatever cannot be printed written out, so that no terminal obeys it: control
    characters, lone surrogates. The characters of `keep` stay."""
    return "".join(
        letter
        if letter.isprintable() or letter in keep
        else letter.encode("unicode_escape", "backslashreplace").decode()
        for letter in text
    )
