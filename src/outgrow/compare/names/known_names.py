"""The names of one run, as a user's rules find them."""

__all__ = ["KnownNames"]

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain

from outgrow.compare.names.entity import Entity
from outgrow.compare.names.name_map import HOLE

_NUMBER = re.compile(r"[0-9]+")
_NUMBER_OR_HOLE = re.compile(r"[0-9]+|\0")


class KnownNames:
    """Looked up by name and by pattern. The names are those that users know, those without the folder that
    all of a run have in front, and for whole names those on every rank."""

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._by_name: dict[str, list[Entity]] = defaultdict(list)
        shorter: dict[str, list[Entity]] = defaultdict(list)
        of_ranks: dict[str, list[Entity]] = defaultdict(list)
        for entity in entities:
            self._by_name[entity.record.name].append(entity)
            shorter[entity.name].append(entity)
            for name in {record.name for record in entity.records.values()}:
                of_ranks[name].append(entity)
        self._add(shorter)
        self._by_skeleton: dict[str, list[str]] = defaultdict(list)
        for name in self._by_name:
            self._by_skeleton[_NUMBER.sub("0", name)].append(name)
        self._add(of_ranks)
        self._indices: dict[tuple[str, tuple[int, ...]], dict[tuple[str, ...], list[str]]] = {}

    def _add(self, others: dict[str, list[Entity]]) -> None:
        for name, found in others.items():
            if name not in self._by_name:
                self._by_name[name] = found

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> list[Entity]:
        return self._by_name[name]

    def main_name(self, name: str) -> str:
        """The one name of all by which a tensor is known, or this one where several tensors are called so."""
        names = {entity.record.name for entity in self._by_name[name]}
        return names.pop() if len(names) == 1 else name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def fitting(self, pattern: str) -> list[tuple[str, list[str]]]:
        """The main names of tensors that fit, by whichever name, with the text of each hole. A tensor may be
        there several times."""
        wanted, has_star = _expression(pattern)
        names = chain.from_iterable(self._by_skeleton.values()) if has_star else self._alike(pattern)
        found = ((name, wanted.fullmatch(name)) for name in names)
        return [(self.main_name(name), list(fits.groups())) for name, fits in found if fits is not None]

    def _alike(self, pattern: str) -> list[str]:
        """Names that are equal to a pattern but for the numbers in its holes: few of many thousand."""
        filled = HOLE.sub("\0", pattern)
        pieces = _NUMBER_OR_HOLE.findall(filled)
        skeleton = _NUMBER_OR_HOLE.sub("0", filled)
        holes = tuple(place for place, piece in enumerate(pieces) if piece == "\0")
        index = self._indices.get((skeleton, holes))
        if index is None:
            index = self._indices[skeleton, holes] = defaultdict(list)
            for name in self._by_skeleton.get(skeleton, []):
                index[_without(_NUMBER.findall(name), holes)].append(name)
        return index.get(_without(pieces, holes), [])


def _expression(pattern: str) -> tuple[re.Pattern[str], bool]:
    """What a name is to match, and whether any text may stand in it."""
    parts, last, has_star = [], 0, False
    for hole in HOLE.finditer(pattern):
        parts += [
            re.escape(pattern[last : hole.start()]),
            "(?<![0-9])([0-9]+)(?![0-9])" if hole["name"] else "(.*)",
        ]
        has_star |= not hole["name"]
        last = hole.end()
    return re.compile("".join([*parts, re.escape(pattern[last:])]), re.DOTALL), has_star


def _without(numbers: list[str], holes: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(number for place, number in enumerate(numbers) if place not in holes)
