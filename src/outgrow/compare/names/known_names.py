"""The names of one run, as a user's rules find them."""

__all__ = ["KnownNames"]

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from outgrow.compare.names.entity import Entity
from outgrow.compare.names.name_map import HOLE

_NUMBER = re.compile(r"[0-9]+")


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
        parts, last, has_star = [], 0, False
        for hole in HOLE.finditer(pattern):
            parts += [
                re.escape(pattern[last : hole.start()]),
                "(?<![0-9])([0-9]+)(?![0-9])" if hole["name"] else "(.*)",
            ]
            has_star |= not hole["name"]
            last = hole.end()
        wanted = re.compile("".join([*parts, re.escape(pattern[last:])]), re.DOTALL)
        # A number is a whole one, so that names which fit are equal but for their numbers.
        skeleton = _NUMBER.sub("0", HOLE.sub("0", pattern))
        names = [name for group in self._by_skeleton.values() for name in group] if has_star else []
        found = ((name, wanted.fullmatch(name)) for name in names or self._by_skeleton.get(skeleton, []))
        return [(self.main_name(name), list(fits.groups())) for name, fits in found if fits is not None]
