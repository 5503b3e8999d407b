"""Where tensors would stand that were not paired, or could not be read."""

__all__ = ["find_lone", "refusals_of"]

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

import torch

from outgrow.capture.recording import Record, Recording, Refusal
from outgrow.compare.names.entity import Entity, Side
from outgrow.compare.names.match import Match
from outgrow.compare.names.sequence import OrderKey, known_places, order_key, role_of, stage_of_entity
from outgrow.compare.names.shift import Shift
from outgrow.compare.names.spelling import Speller, Spelling
from outgrow.compare.pair import Lone
from outgrow.errors import StoreError

_SUFFIX = re.compile(r"\.(?:pth|pt|bin|ckpt|npz|npy|safetensors)(?=/|$)", re.IGNORECASE)
_NO_SHIFT = Shift(0)


def find_lone(
    matches: Sequence[Match],
    unpaired: tuple[Sequence[tuple[Entity, Record]], Sequence[tuple[Entity, Record]]],
    sides: tuple[Side, Side],
    refused: tuple[Sequence[Refusal], Sequence[Refusal]],
    shifts: Mapping[str, Shift],
) -> tuple[Lone, ...]:
    """Everything that is not compared, in order of execution.

    `matches` has that of each pair, in their order; `unpaired` and `refused` are of the expected run and of
    the actual one. A run that was recorded in order tells itself where its tensors stand; all else goes where
    its name says.
    """
    if not any((*unpaired, *refused)):
        return ()
    places = known_places(sides[1].entities) | known_places(sides[0].entities)

    def key(entity: Entity, role: str | None, layer: int | None) -> OrderKey:
        return order_key(entity, places, role=role, layer=layer)

    by_name = _Anchors(
        [key(match.expected, role_of(match), match.expected.spelling.layer) for match in matches]
    )
    is_ordered = any(side.is_ordered for side in sides)
    found: list[tuple[int, int, OrderKey, Lone]] = []
    for is_actual, side in enumerate(sides):
        by_sequence = None
        if side.is_ordered:
            of_side: Callable[[Match], Entity] = _actual if is_actual else _expected
            by_sequence = _Anchors([(of_side(match).record.sequence,) for match in matches])
        for entity, record in unpaired[is_actual]:
            layer = _layer(entity.spelling, shifts) if is_actual else entity.spelling.layer
            role = None if entity.role is None else entity.role.stage
            where: OrderKey = key(entity, role, layer) if by_sequence is None else (record.sequence,)
            after = (by_sequence or by_name).after(where)
            lone = Lone(
                expected=None if is_actual else record,
                actual=record if is_actual else None,
                stage=stage_of_entity(entity, role),
                layer=layer,
                after=after,
            )
            found.append((after, is_actual if is_ordered else 0, where, lone))
    speller, known = Speller(), _roles(sides)
    refused_here, refused_there = set(refused[0]), set(refused[1])
    for refusal in dict.fromkeys((*refused[0], *refused[1])):
        entity = _spelled(refusal, speller)
        spelling = entity.spelling
        here, there = refusal in refused_here, refusal in refused_there
        layer = spelling.layer if here else _layer(spelling, shifts)
        role = known.get((spelling.tower, spelling.layer is not None, spelling.rest))
        where = key(entity, role, layer)
        # What says nothing of its layer goes to the end: a whole file, as a rule.
        after = by_name.after(where) if spelling.layer is not None or role is not None else len(matches) - 1
        lone = Lone(
            expected=refusal if here else None,
            actual=refusal if there else None,
            stage=stage_of_entity(entity, role) if spelling.layer is not None or role is not None else "",
            layer=layer,
            after=after,
        )
        found.append((after, 2 if is_ordered or not lone.stage else 0, where, lone))
    return tuple(lone for *_, lone in sorted(found, key=lambda entry: entry[:3]))


class _Anchors:
    """Pairs by a key that need not be sorted."""

    def __init__(self, keys: Sequence[OrderKey]) -> None:
        order = sorted(range(len(keys)), key=lambda index: keys[index])
        self._keys = [keys[index] for index in order]
        self._order = order

    def after(self, key: OrderKey) -> int:
        """The pair with the largest key that is not larger than this one."""
        place = bisect_right(self._keys, key)
        return self._order[place - 1] if place else -1


def _expected(match: Match) -> Entity:
    return match.expected


def _actual(match: Match) -> Entity:
    return match.actual


def _layer(spelling: Spelling, shifts: Mapping[str, Shift]) -> int | None:
    """As the expected run counts."""
    if spelling.layer is None:
        return None
    return spelling.layer + (shifts.get(spelling.tower, _NO_SHIFT).offset or 0)


def _roles(sides: tuple[Side, Side]) -> dict[tuple[str, bool, str], str]:
    return {
        (entity.spelling.tower, entity.spelling.layer is not None, entity.spelling.rest): entity.role.stage
        for side in reversed(sides)
        for entity in side.entities
        if entity.role is not None
    }


def _spelled(refusal: Refusal, speller: Speller) -> Entity:
    """As a tensor of that name: the last part of the path if that tells a layer, else the whole."""
    whole = _SUFFIX.sub("", refusal.entry)
    entities = []
    for name in (whole.rpartition("/")[2], whole):
        record = Record(name=name, sequence=0, dtype=torch.uint8, shape=(0,), read=_cannot_be_read)
        entities.append(Entity(name, record, {0: record}, speller.spell(record, name)))
    return next((entity for entity in entities if entity.spelling.layer is not None), entities[0])


def _cannot_be_read() -> torch.Tensor:
    raise StoreError("this tensor was refused", hint="the list of refusals says why")


def refusals_of(recordings: Sequence[Recording]) -> list[Refusal]:
    """Of all ranks of one run, each once."""
    return list(dict.fromkeys(refusal for recording in recordings for refusal in recording.refused))
