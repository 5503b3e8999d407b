"""Matches in order of execution, and what their stages are called."""

__all__ = [
    "OrderKey",
    "Places",
    "known_places",
    "order_key",
    "role_of",
    "sequence_matches",
    "stage_of",
    "stage_of_entity",
]

import re
from collections.abc import Sequence

from outgrow.compare.names.entity import Entity, Side
from outgrow.compare.names.match import Match
from outgrow.compare.order import stage_place
from outgrow.names import natural_key

# What is computed before anything else, where the name is all that is known.
_EARLY = re.compile(r"emb|rotary|rope|token|patch|pre_|input|position|stem", re.IGNORECASE)
_ENCODER = re.compile(r"enc|vis|image|audio|patch", re.IGNORECASE)
_WHATS = ("parameters", "inputs", "outputs", "gradients", "optimizer")
_LAST = 10**6

OrderKey = tuple[object, ...]
Places = dict[str, list[tuple[str, tuple[int, int]]]]
"""By tower: spellings in a layer and their places, so that others find their neighbours."""


def sequence_matches(matches: Sequence[Match], left: Side, right: Side) -> list[Match]:
    """By the expected run's own order, else by the actual run's, else by stages."""
    if left.is_ordered:
        return sorted(matches, key=lambda match: (match.expected.record.sequence, _part(match)))
    if right.is_ordered:
        return sorted(matches, key=lambda match: (match.actual.record.sequence, _part(match)))
    places = known_places(left.entities)

    def key(match: Match) -> OrderKey:
        entity = match.expected
        return (*order_key(entity, places, role=role_of(match), layer=entity.spelling.layer), _part(match))

    return sorted(matches, key=key)


def stage_of(match: Match) -> str:
    """The role with what of it, `query`, `query.weight`; or the expected name without its layer."""
    return stage_of_entity(match.expected, role_of(match))


def stage_of_entity(entity: Entity, role: str | None) -> str:
    """As `stage_of`, for a tensor by itself."""
    spelling = entity.spelling
    tower = f"{spelling.tower}." if spelling.tower else ""
    if role is None:
        return f"{tower}{spelling.shown}"
    leaf = "" if spelling.leaf in ("output.0", "") else f".{spelling.leaf}"
    return f"{tower}{role}{leaf}"


def _part(match: Match) -> int:
    return 0 if match.fused is None else match.fused.index


def role_of(match: Match) -> str | None:
    """Where it is known. A part of a fused tensor is of its own stage, which is the other side's."""
    entity = match.expected
    if match.fused is not None and match.fused.side == "expected":
        entity = match.actual
    return None if entity.role is None else entity.role.stage


def known_places(entities: Sequence[Entity]) -> Places:
    """Of all tensors whose role tells where they are computed."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for entity in entities:
        spelling = entity.spelling
        if entity.role is not None and spelling.layer is not None:
            place = stage_place(entity.role.stage, spelling.what)
            if place is not None:
                found.setdefault(spelling.tower, {})[spelling.rest] = place
    return {tower: sorted(places.items()) for tower, places in found.items()}


def order_key(entity: Entity, places: Places, *, role: str | None, layer: int | None) -> OrderKey:
    """Sorts tensors as they are computed, by what their names say. `layer` may be counted otherwise than in
    the name."""
    spelling = entity.spelling
    known = None if role is None else stage_place(role, spelling.what)
    section, at = known or _guess_place(entity, places.get(spelling.tower, []))
    is_backward = spelling.what in ("gradients", "optimizer")
    tower = 0 if _ENCODER.search(spelling.tower) else 1
    if not spelling.tower and spelling.layer is None and section != 1:
        tower = -1 if section == 0 else 2  # what all towers share
    return (
        entity.record.step if entity.step is None else entity.step,
        is_backward,
        tower,
        spelling.tower,
        section,
        0 if layer is None else layer,
        at,
        known is None,
        spelling.expert or 0,
        _WHATS.index(spelling.what) if spelling.what in _WHATS else _LAST,
        entity.record.call,
        natural_key(entity.name),
    )


def _guess_place(entity: Entity, places: list[tuple[str, tuple[int, int]]]) -> tuple[int, int]:
    """After the known neighbour whose name begins most like it; without one at the end of the layer."""
    rest = entity.spelling.rest
    if entity.spelling.layer is None:
        return (0, _LAST) if _EARLY.search(entity.name) else (2, _LAST)
    best, longest = (1, _LAST), 2
    for spelling, place in places:
        shared = _shared(rest, spelling)
        if shared > longest or (shared == longest > 2 and place > best):
            best, longest = place, shared
    return best


def _shared(one: str, other: str) -> int:
    for index, (here, there) in enumerate(zip(one, other, strict=False)):
        if here != there:
            return index
    return min(len(one), len(other))
