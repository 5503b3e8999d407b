"""From two runs to their pairs, in order of execution."""

__all__ = ["pair_records"]

from collections.abc import Mapping, Sequence
from os import PathLike

from outgrow.capture.recording import Record, Recording
from outgrow.compare.names.entity import Entity, Side, collect, copy_spelling, drop_tower, find_roles, spell
from outgrow.compare.names.lone import find_lone, refusals_of
from outgrow.compare.names.mapped import apply_name_map
from outgrow.compare.names.match import Match, Matcher
from outgrow.compare.names.name_map import NameMap, parse_name_map
from outgrow.compare.names.near import find_near
from outgrow.compare.names.ranks import answer
from outgrow.compare.names.sequence import sequence_matches
from outgrow.compare.names.shift import find_shifts
from outgrow.compare.names.spelling import Speller
from outgrow.compare.pair import Pair, Pairing
from outgrow.errors import InputError


def pair_records(
    expected: Recording,
    actual: Sequence[Recording],
    *,
    name_map: NameMap | Mapping[str, str | None] | str | PathLike[str] | None = None,
) -> Pairing:
    """Pair the tensors of two runs by their names.

    Evidence from the strongest to the weakest: the user's map, equal names, names that differ by a constant
    number of the layers, names that mean the same in their families of models, and where each run has but
    one tensor, that. Nothing that could be wrong is taken without a note; what could be two things is left
    unpaired. `actual` are the ranks of one run, in order; a recording may hold several itself.

    Raises:
        InputError: the map cannot be read or names what is not there; the expected run has several ranks and
            the actual one another number.
    """
    left, right = collect([expected]), collect(actual)
    if left.world_size > 1 and left.world_size != right.world_size:
        raise InputError(
            f"the expected run has {left.world_size} ranks and the actual one {right.world_size}",
            hint="give a run of one rank as the expected one, or two runs with equally many ranks",
        )
    notes = [*_align_steps(left, right)]
    speller = Speller()
    spell(left, speller)
    if not copy_spelling(right, left):
        spell(right, speller)
    notes += _drop_lone_tower(left, right)
    told = [*find_roles(left), *find_roles(right)]
    matcher = Matcher(left.entities, right.entities)
    if name_map is not None:
        rules = name_map if isinstance(name_map, NameMap) else parse_name_map(name_map)
        apply_name_map(rules, matcher)
    shifts = find_shifts(list(matcher.expected), list(matcher.actual))
    notes += [shift.note for shift in shifts.values() if shift.note is not None]
    matcher.match(shifts)
    notes += _doubled(left) + _doubled(right)
    notes += dict.fromkeys(matcher.notes)
    pairs: list[Pair] = []
    matches: list[Match] = []
    for match in sequence_matches(matcher.matches, left, right):
        made, note = answer(match, left.world_size, right.world_size)
        pairs += made
        matches += [match] * len(made)
        notes += [] if note is None else [note]
    if matcher.expected or matcher.actual:
        notes += dict.fromkeys(told)
    used = {id(record) for pair in pairs for record in (pair.expected, *pair.actual)}
    unpaired = _unused(left, used), _unused(right, used)
    here, there = ([record.name for _, record in records] for records in unpaired)
    return Pairing(
        pairs=tuple(pairs),
        unpaired_expected=tuple(record for _, record in unpaired[0]),
        unpaired_actual=tuple(record for _, record in unpaired[1]),
        near=find_near(here, there or _names(right)) | find_near(there, here or _names(left)),
        notes=tuple(dict.fromkeys(notes)),
        lone=find_lone(
            matches, unpaired, (left, right), (refusals_of([expected]), refusals_of(actual)), shifts
        ),
    )


def _unused(side: Side, used: set[int]) -> list[tuple[Entity, Record]]:
    """One record for each tensor of which no rank was paired; all that are left where some were."""
    left: list[tuple[Entity, Record]] = []
    for entity in side.entities:
        free = [record for record in entity.records.values() if id(record) not in used]
        left += [(entity, record) for record in (free[:1] if len(free) == len(entity.records) else free)]
    return left


def _drop_lone_tower(left: Side, right: Side) -> list[str]:
    """Take `decoder.` for a wrapper if the layers of the other run have nothing like it."""
    towers = [next(iter(side.towers), "") for side in (left, right)]
    if any(len(side.towers) > 1 for side in (left, right)) or all(towers) or not any(towers):
        return []
    drop_tower(left)
    drop_tower(right)
    return [f"{max(towers)!r} in front of the layers of one run was taken for a wrapper"]


def _names(side: Side) -> list[str]:
    return [entity.record.name for entity in side.entities]


def _doubled(side: Side) -> list[str]:
    return [
        f"not paired, since it is there twice: {entity.record.name!r}"
        for entity in side.entities
        if entity.is_doubled
    ]


def _align_steps(left: Side, right: Side) -> list[str]:
    """Tell each actual tensor to which step of the expected run it belongs."""
    here = sorted({entity.record.step for entity in left.entities})
    there = sorted({entity.record.step for entity in right.entities})
    if here == there or len(here) != len(there) or set(here) & set(there):
        return []
    answers = dict(zip(there, here, strict=True))
    for entity in right.entities:
        entity.step = answers[entity.record.step]
    return [
        f"steps {_list(there)} of the actual run were taken for {_list(here)} of the expected one, in order"
    ]


def _list(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps[:4])) + (", ..." if len(steps) > 4 else "")
