"""A file in an archive, once its bytes can be read."""

__all__ = ["ArchiveEntry", "Screen", "repeated_names"]

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from outgrow.capture.recording import Refusal

Screen = Callable[[str], str | None]
"""Why an entry of a clean name is not unpacked; None where it is."""


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """A file in an archive, once its bytes can be read."""

    name: str
    """Clean: a relative path with `/`."""
    path: Path
    """The file that holds its bytes: the archive itself, or what it was unpacked to."""
    region: tuple[int, int]
    """Where in it: offset and length."""


def repeated_names(names: Iterable[str]) -> tuple[frozenset[str], list[Refusal]]:
    """The names that occur more than once, and a refusal for each: tools disagree on which one counts, and a
    wrong guess would be a wrong answer."""
    twice = [(name, count) for name, count in Counter(names).items() if count > 1]
    refused = [
        Refusal(entry=name, reason=f"the archive holds {count:,} entries of this name; none is believed")
        for name, count in twice
    ]
    return frozenset(name for name, _ in twice), refused
