"""What the tensors of a run are, from how its family of models spells them."""

__all__ = ["Role", "RoleTable"]

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from outgrow.compare.names.families import FAMILIES, expand
from outgrow.compare.names.spelling import Spelling, squeeze
from outgrow.compare.order import is_stage

_Place = tuple[bool, str]
"""Whether in a layer, and the spelling."""
_PLAIN = "plain"
# Below this share of its parts a family is not certain where another one means something else.
_CERTAIN = 0.5


@dataclass(frozen=True, slots=True)
class Role:
    """What a spelling stands for."""

    stage: str
    family: str
    note: str | None = None
    """Why this could be wrong."""


def _index() -> dict[_Place, list[tuple[str, str, str]]]:
    """From a spelling to family, stage and tower (empty: any)."""
    index: dict[_Place, list[tuple[str, str, str]]] = defaultdict(list)
    for name, family in FAMILIES.items():
        for stage, spellings in family.stages.items():
            for pattern in spellings.split():
                for spelling in expand(pattern):
                    tower, _, text = spelling.rpartition(":")
                    place = (is_stage(stage, in_layer=True), squeeze(text))
                    index[place].append((name, stage, tower))
    return dict(index)


_INDEX = _index()
_KNOWN_BY = {
    name: frozenset(squeeze(spelling) for spelling in expand(family.known_by))
    for name, family in FAMILIES.items()
    if family.known_by is not None
}


class RoleTable:
    """The roles in one run. Each tower is of the family that explains most of it."""

    def __init__(self, spellings: Iterable[Spelling]) -> None:
        places: dict[str, set[_Place]] = defaultdict(set)
        for spelling in spellings:
            places[spelling.tower].add((spelling.layer is not None, spelling.rest))
        around = set().union(*places.values()) if places else set()
        self._roles: dict[tuple[str, _Place], Role] = {}
        self.notes: list[str] = []
        """What could not be told, or not for certain."""
        for tower, inside in places.items():
            # What stands around the layers is seldom enough to tell a family: the whole run helps.
            seen = inside if any(is_layer for is_layer, _ in inside) else around
            self._find_roles(tower, inside, _score(tower, seen))

    def get(self, spelling: Spelling) -> Role | None:
        """None where no family has this spelling, or several mean different things by it."""
        return self._roles.get((spelling.tower, (spelling.layer is not None, spelling.rest)))

    def _find_roles(self, tower: str, places: set[_Place], scores: dict[str, tuple[int, float]]) -> None:
        for place in sorted(places):
            meant = _meanings(tower, place)
            considered = {name: stage for name, stage in meant.items() if name in scores}
            if len(considered) > 1:
                considered.pop(_PLAIN, None)
            if not considered:
                continue
            best = max(scores[name] for name in considered)
            stages = {stage for name, stage in considered.items() if scores[name] == best}
            if len(stages) > 1:
                self.notes.append(f"{place[1]!r} was not taken for anything: it could be {_either(stages)}")
                continue
            family = next(name for name in considered if scores[name] == best)
            note = FAMILIES[family].note
            others = set(meant.values()) - stages - {considered[family]}
            if others and best[1] < _CERTAIN:
                note = f"taken for {considered[family]} as in {family}; elsewhere it is {_either(others)}"
            self._roles[tower, place] = Role(considered[family], family, note)


def _meanings(tower: str, place: _Place) -> dict[str, str]:
    return {name: stage for name, stage, only in _INDEX.get(place, ()) if not only or only == tower}


def _score(tower: str, places: set[_Place]) -> dict[str, tuple[int, float]]:
    """How many spellings each family explains, and which share of its own parts is there."""
    rests = {rest for _, rest in places}
    explained: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, int] = defaultdict(int)
    for place in places:
        for name, stage in _meanings(tower, place).items():
            counts[name] += 1
            explained[name].add(stage)
    return {
        name: (count, len(explained[name]) / len(FAMILIES[name].stages))
        for name, count in counts.items()
        if name not in _KNOWN_BY or _KNOWN_BY[name] & rests
    }


def _either(stages: Iterable[str]) -> str:
    return " or ".join(sorted(stages))
