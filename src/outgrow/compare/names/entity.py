"""One tensor of a run, on all ranks that have it."""

__all__ = ["Entity", "Side", "collect", "copy_spelling", "drop_tower", "find_roles", "spell"]

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from outgrow.capture.recording import Record, Recording
from outgrow.compare.names.roles import Role, RoleTable
from outgrow.compare.names.spelling import NOT_SPELLED, Speller, Spelling

_SHARD = re.compile(r"^(?:.*/)?[^/]*-[0-9]{5}-of-[0-9]{5}(?:\.[a-z]+)?/")
_NUMBERED = re.compile(r"(?:(?:layers?|blocks?|blk|h|l)[._-]?)?[0-9]+/", re.IGNORECASE)
# Which rank a dump is of, where each has its own.
_RANK = re.compile(r"(?:^|[._/-])(?:rank|tp|gpu)[._-]?([0-9]+)(?=$|[._/-])", re.IGNORECASE)


@dataclass(slots=True, eq=False)
class Entity:
    """A name, kind, step and call, with a record on each rank that has it."""

    name: str
    """Without the folder that all names of the run share."""
    record: Record
    """That of the first rank which has it."""
    records: dict[int, Record]
    """By rank: the place in the order of ranks."""
    spelling: Spelling = NOT_SPELLED
    is_doubled: bool = False
    """Whether a rank has two records for it."""
    role: Role | None = None
    step: int | None = 0
    """Which step of the expected run this is; None where it is none."""


@dataclass(slots=True)
class Side:
    """All tensors of a run."""

    entities: list[Entity]
    world_size: int
    is_ordered: bool
    towers: set[str] = field(default_factory=set)
    """What stands in front of layers."""


def collect(recordings: Sequence[Recording]) -> Side:
    """Put the ranks of one run together; names are not taken apart yet."""
    found: dict[tuple[str, str, int, int], Entity] = {}
    world_size = 0
    for recording in recordings:
        ranks = {rank: at for at, rank in enumerate(sorted({record.rank for record in recording.records}))}
        names = _clean(recording.records, is_rank=len(recordings) > 1)
        for record, name in zip(recording.records, names, strict=True):
            rank = world_size + ranks[record.rank]
            key = (name, record.kind, record.step, record.call)
            entity = found.get(key)
            if entity is None:
                found[key] = Entity(name, record, {rank: record}, step=record.step)
            elif rank in entity.records:
                entity.is_doubled = True
            else:
                entity.records[rank] = record
        world_size += max(len(ranks), 1)
    entities = _merge_lone(list(found.values()), recordings)
    return Side(entities, world_size, all(recording.is_ordered for recording in recordings))


def spell(side: Side, speller: Speller) -> None:
    """Take the names apart."""
    for entity in side.entities:
        entity.spelling = speller.spell(entity.record, entity.name)
    layered = (entity.spelling for entity in side.entities)
    side.towers = {spelling.tower for spelling in layered if spelling.layer is not None}
    towers = sorted(filter(None, side.towers), key=len, reverse=True)
    for entity in side.entities if towers else ():
        _find_tower(entity, towers)


def copy_spelling(side: Side, other: Side) -> bool:
    """Take over what is known of the other names if all are the same; False where they are not."""
    known = {_key(entity): entity for entity in other.entities}
    if len(side.entities) != len(known) or not all(_key(entity) in known for entity in side.entities):
        return False
    for entity in side.entities:
        twin = known[_key(entity)]
        entity.spelling, entity.role = twin.spelling, twin.role
    side.towers = other.towers
    return True


def _key(entity: Entity) -> tuple[object, ...]:
    return (entity.name, entity.record.kind, entity.record.step, entity.record.call)


def find_roles(side: Side) -> list[str]:
    """Tell the roles; returns what could not be told."""
    table = RoleTable(entity.spelling for entity in side.entities)
    for entity in side.entities:
        entity.role = table.get(entity.spelling)
    return table.notes


def drop_tower(side: Side) -> None:
    """Forget what stands in front of the layers, where it is the same for all."""
    for entity in side.entities:
        if entity.spelling.tower:
            entity.spelling = replace(entity.spelling, tower="")
    side.towers = {""} if side.towers else set()


def _find_tower(entity: Entity, towers: Sequence[str]) -> None:
    """Tell which tower a tensor outside of the layers belongs to."""
    spelling = entity.spelling
    if spelling.layer is not None:
        return
    for tower in towers:
        if spelling.rest.startswith(tower) and len(spelling.rest) > len(tower):
            entity.spelling = replace(spelling, tower=tower, rest=spelling.rest[len(tower) :])
            return


def _merge_lone(entities: list[Entity], recordings: Sequence[Recording]) -> list[Entity]:
    """Where each rank has just one tensor, under whatever name, these are one."""
    if len(recordings) < 2 or any(len(recording.records) != 1 for recording in recordings):
        return entities
    first = entities[0]
    if len({entity.record.kind for entity in entities}) == 1:
        for entity in entities[1:]:
            first.records |= entity.records
        return [first]
    return entities


def _clean(records: Sequence[Record], *, is_rank: bool) -> list[str]:
    """The names without what all of them have in front, if they can be told apart without it."""
    names = [record.name for record in records]
    if is_rank and len({found and found[1] for found in map(_RANK.search, names)}) == 1:
        names = _if_unique(records, [_RANK.sub("", name, count=1).lstrip("._/-") for name in names], names)
    if not any("/" in name for name in names):
        return names
    names = _if_unique(records, [_SHARD.sub("", name) for name in names], names)
    first, last = min(names), max(names)
    shared = 0
    for index, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            break
        if one == "/":
            if _NUMBERED.fullmatch(first, shared, index + 1):
                break
            shared = index + 1
    return [name[shared:] for name in names] if shared else names


def _if_unique(records: Sequence[Record], shorter: list[str], names: list[str]) -> list[str]:
    """`shorter`, unless it makes names empty or equal that were not."""
    keys = zip(shorter, records, strict=True)
    count = len({(name, record.kind, record.step, record.call, record.rank) for name, record in keys})
    return shorter if count == len(records) and all(shorter) else names
