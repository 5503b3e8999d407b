"""Which tensor of the one run answers which of the other, by evidence from the strongest to the weakest."""

__all__ = ["ALIASES", "Match", "Matcher"]

from collections import defaultdict
from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from outgrow.compare.names.entity import Entity
from outgrow.compare.names.fused import FUSED_STAGES, IN_STAGE, part_name
from outgrow.compare.names.shift import Shift
from outgrow.compare.pair import FusedPart

How = Literal["identical", "shifted", "role", "map", "single"]
_Key = Callable[[Entity], Hashable | None]
_Address = tuple[Hashable, ...]

ALIASES: dict[str, tuple[tuple[str, str], ...]] = {
    "post_ln_pre_attn": (("norm.attn", "outputs"),),
    "post_attn": (("attn.out", "inputs"), ("attn.core", "outputs")),
    "post_attn_pre_resid": (("attn.out", "outputs"), ("attn", "outputs")),
    "pre_mlp": (("norm.mlp", "outputs"), ("mlp", "inputs")),
    "post_mlp": (("mlp", "outputs"), ("mlp.down", "outputs")),
    "logits": (("head", "outputs"),),
}
"""What the stages of `{layer}_{stage}` dumps are in a recording of modules, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Match:
    """A pair before its ranks are looked at."""

    expected: Entity
    actual: Entity
    how: How
    note: str | None = None
    fused: FusedPart | None = None
    layout_hint: str | None = None


class Matcher:
    """Takes tensors of both runs away as they are paired; what is left is unpaired."""

    def __init__(self, expected: Iterable[Entity], actual: Iterable[Entity]) -> None:
        self.expected = dict.fromkeys(expected)
        self.actual = dict.fromkeys(actual)
        self.matches: list[Match] = []
        self.notes: list[str] = []
        self._shifts: Mapping[str, Shift] = {}
        # By whether they are of the expected run: fused tensors of which a map has paired these parts.
        self._told: dict[bool, dict[Entity, dict[int, Entity]]] = {True: {}, False: {}}

    def match(self, shifts: Mapping[str, Shift]) -> None:
        """Pair what can be paired, with layers counted as `shifts` say."""
        self._shifts = shifts
        self.match_identical()
        self.match_spelled()
        self.match_roles()
        self.match_fused()
        for choice in range(max(map(len, ALIASES.values()))):
            self.match_aliases(choice)
        self.match_lone()
        self.match_single()

    def take(self, match: Match) -> None:
        """Pair these two."""
        self.matches.append(match)
        self.expected.pop(match.expected, None)
        self.actual.pop(match.actual, None)

    def take_part(self, match: Match, piece: FusedPart) -> None:
        """Pair a part of a fused tensor; the other parts can still be paired by their roles."""
        self.take(match)
        is_expected = piece.side == "expected"
        whole, part = (match.expected, match.actual) if is_expected else (match.actual, match.expected)
        self._told[is_expected].setdefault(whole, {})[piece.index] = part

    def match_identical(self) -> None:
        """The names are equal, and where layers are counted otherwise, all but their numbers."""

        def key(entity: Entity, *, is_expected: bool) -> Hashable | None:
            where = self._where(entity, is_expected=is_expected)
            if where is None:
                return None
            layer, shift = where
            if shift.offset:
                spelling = entity.spelling
                return ("shifted", *self._address(entity, layer), spelling.shown)
            return (entity.name, entity.record.kind, entity.step, entity.record.call)

        def note(expected: Entity, actual: Entity) -> str | None:
            if not _stages_differ(expected, actual):
                return None
            return "the names are equal, but stand for different parts in what seem to be different families"

        self._match(key, lambda one, other: "shifted" if self._is_shifted(one) else "identical", note)

    def match_spelled(self) -> None:
        """The names are equal but for wrappers, case and separators."""

        def key(entity: Entity, *, is_expected: bool) -> Hashable | None:
            where = self._where(entity, is_expected=is_expected)
            return None if where is None else (*self._address(entity, where[0]), entity.spelling.rest)

        def how(expected: Entity, actual: Entity) -> How | None:
            if _stages_differ(expected, actual):
                self.notes.append(
                    f"{expected.record.name!r} and {actual.record.name!r} were not paired: they are alike, "
                    "but stand for different parts in their families"
                )
                return None
            return "shifted" if self._is_shifted(expected) else "role"

        self._match(key, how, lambda *_: None, "are equal but for wrappers, case and separators")

    def match_roles(self) -> None:
        """The names mean the same in their families."""

        def key(entity: Entity, *, is_expected: bool) -> Hashable | None:
            where = self._where(entity, is_expected=is_expected)
            if where is None or entity.role is None:
                return None
            return (*self._address(entity, where[0]), entity.role.stage)

        self._match(key, lambda *_: "role", _role_note, "could all be the same part of the model")

    def match_aliases(self, choice: int) -> None:
        """The stages of `{layer}_{stage}` dumps against the modules whose values they are."""

        def key(entity: Entity, *, is_expected: bool) -> Hashable | None:
            where = self._where(entity, is_expected=is_expected)
            if where is None or entity.role is None:
                return None
            meant = ALIASES.get(entity.role.stage, ())
            if meant and entity.spelling.what == "outputs" and choice >= len(meant):
                return None
            stage, what = meant[choice] if meant else (entity.role.stage, entity.spelling.what)
            if what not in ("outputs", "inputs"):
                return None
            spelling = entity.spelling
            return (entity.step, entity.record.call, spelling.tower, where[0], stage, what)

        def note(expected: Entity, actual: Entity) -> str:
            return f"{expected.name!r} was taken for what {actual.name!r} holds"

        def how(expected: Entity, actual: Entity) -> How | None:
            roles = (expected.role, actual.role)
            return "role" if any(role is not None and role.stage in ALIASES for role in roles) else None

        self._match(key, how, note)

    def match_lone(self) -> None:
        """The one input or output of modules that answer each other, whatever it is called."""

        def key(entity: Entity, *, is_expected: bool) -> Hashable | None:
            where = self._where(entity, is_expected=is_expected)
            spelling = entity.spelling
            if where is None or spelling.what not in ("outputs", "inputs"):
                return None
            mark = entity.role.stage if entity.role is not None else f"={spelling.rest}"
            return (
                entity.step,
                entity.record.call,
                spelling.tower,
                where[0],
                spelling.expert,
                mark,
                spelling.what,
            )

        def note(expected: Entity, _actual: Entity) -> str:
            return f"paired as the only {expected.spelling.what.removesuffix('s')} that is left of its module"

        self._match(key, lambda *_: "role", note)

    def match_fused(self) -> None:
        """What one run holds as one tensor and the other as several."""
        self._match_in_stage()
        for fused, parts in FUSED_STAGES.items():
            self._match_parts(fused, parts, "expected")
            self._match_parts(fused, parts, "actual")

    def match_single(self) -> None:
        """Both runs have just one tensor."""
        if self.matches or len(self.expected) != 1 or len(self.actual) != 1:
            return
        (expected,), (actual,) = self.expected, self.actual
        if expected.step is None or actual.step is None or expected.is_doubled or actual.is_doubled:
            return
        here, there = expected.spelling, actual.spelling
        told = f"{expected.record.name!r} and {actual.record.name!r}"
        is_same_kind = here.what == there.what or (here.is_guessed and there.is_guessed)
        is_same_layer = None in (here.layer, there.layer) or here.layer == there.layer
        if not (is_same_kind and not _stages_differ(expected, actual) and is_same_layer):
            self.notes.append(
                f"{told} were not paired, though each run has nothing else: their names differ in meaning"
            )
            return
        self.take(Match(expected, actual, "single", f"{told} were paired since each run has nothing else"))

    def _where(self, entity: Entity, *, is_expected: bool) -> tuple[int | None, Shift] | None:
        """The layer in the expected run; None where it cannot be told, or the tensor answers nothing."""
        if entity.is_doubled or entity.step is None:
            return None
        layer = entity.spelling.layer
        shift = self._shifts.get(entity.spelling.tower, _NO_SHIFT) if layer is not None else _NO_SHIFT
        if shift.offset is None:
            return None
        return (layer if is_expected or layer is None else layer + shift.offset), shift

    def _is_shifted(self, expected: Entity) -> bool:
        is_layer = expected.spelling.layer is not None
        return is_layer and bool(self._shifts.get(expected.spelling.tower, _NO_SHIFT).offset)

    def _address(self, entity: Entity, layer: int | None) -> _Address:
        spelling = entity.spelling
        return (
            spelling.what, entity.step, entity.record.call, spelling.tower, layer, spelling.expert,
            spelling.leaf,
        )  # fmt: skip

    def _match(
        self,
        key: Callable[..., Hashable | None],
        how: Callable[[Entity, Entity], How | None],
        note: Callable[[Entity, Entity], str | None],
        ambiguity: str | None = None,
    ) -> None:
        if not self.expected or not self.actual:
            return
        left = _by_key(self.expected, lambda entity: key(entity, is_expected=True))
        right = _by_key(self.actual, lambda entity: key(entity, is_expected=False))
        for address, here in left.items():
            there = right.get(address)
            if there is None:
                continue
            if len(here) == len(there) == 1:
                veto = _size_veto(here[0], there[0])
                way = how(here[0], there[0])
                if way is None or (veto is not None and way == "role"):
                    self.notes += [] if veto is None else [veto]
                    continue
                notes = [
                    note(here[0], there[0]),
                    None if way == "identical" else _size_note(here[0], there[0]),
                ]
                self.take(Match(here[0], there[0], way, "; ".join(filter(None, notes)) or None))
            elif ambiguity is not None:
                names = ", ".join(repr(entity.record.name) for entity in [*here, *there][:6])
                self.notes.append(f"not paired, since they {ambiguity}: {names}")

    def _match_in_stage(self) -> None:
        """Decide what the first layer of an MLP is by what the other run has there."""
        left = self._stages(self.expected, is_expected=True)
        right = self._stages(self.actual, is_expected=False)
        for is_expected, mine, others in ((True, left, right), (False, right, left)):
            for (stage, address), entity in mine.items():
                if stage != IN_STAGE:
                    continue
                gate, up = others.get(("mlp.gate", address)), others.get(("mlp.up", address))
                whole = others.get(("mlp.gate_up", address))
                if gate is not None and up is not None and whole is None:
                    self._take_parts(entity, ("mlp.gate", "mlp.up"), [gate, up], is_expected=is_expected)
                    continue
                candidates = [one for one in (whole, up, gate) if one is not None]
                other = candidates[0] if len(candidates) == 1 and candidates[0] is not gate else None
                if other is not None and _may_be_one_size(entity, other):
                    note = "its first linear layer was taken for what the other run has there"
                    pair = (entity, other) if is_expected else (other, entity)
                    self.take(Match(*pair, "role", note))

    def _match_parts(self, fused: str, parts: Sequence[str], side: Literal["expected", "actual"]) -> None:
        is_expected = side == "expected"
        pool = self.expected if is_expected else self.actual
        mine = self._stages([*pool, *self._told[is_expected]], is_expected=is_expected)
        others = self._stages(self.actual if is_expected else self.expected, is_expected=not is_expected)
        for (stage, address), entity in mine.items():
            if stage != fused:
                continue
            told = self._told[is_expected].get(entity, {})
            found = [told.get(index, others.get((part, address))) for index, part in enumerate(parts)]
            there = [part for part in found if part is not None]
            if len(there) == len(parts):
                self._take_parts(entity, parts, there, is_expected=is_expected, told=told)
            elif there and not told:
                names = ", ".join(part for part, one in zip(parts, found, strict=True) if one is None)
                self.notes.append(
                    f"{entity.record.name!r} was not split: the other run has no {names} for it"
                )

    def _take_parts(
        self,
        whole: Entity,
        stages: Sequence[str],
        parts: Sequence[Entity],
        *,
        is_expected: bool,
        told: Container[int] = (),
    ) -> None:
        sizes = [part.record.elements for part in parts]
        is_input = whole.spelling.what == "inputs"
        is_one_rank = all(len(entity.records) == 1 for entity in (whole, *parts))
        if is_one_rank and not is_input and sum(sizes) != whole.record.elements:
            names = ", ".join(repr(part.record.name) for part in parts)
            self.notes.append(
                f"{whole.record.name!r} has {whole.record.elements:,} elements and was not split into "
                f"{names}, which have {sum(sizes):,}"
            )
            return
        names_of_parts = tuple(part_name(stage) for stage in stages)
        side: Literal["expected", "actual"] = "expected" if is_expected else "actual"
        for index, part in enumerate(parts):
            if index in told:
                continue
            # All parts get the whole input of the fused layer.
            piece = None if is_input else FusedPart(
                side=side, parts=names_of_parts, index=index, group=whole.record.name
            )  # fmt: skip
            pair = (whole, part) if is_expected else (part, whole)
            self.matches.append(Match(*pair, "role", _role_note(*pair), piece))
            (self.actual if is_expected else self.expected).pop(part, None)
        (self.expected if is_expected else self.actual).pop(whole, None)

    def _stages(self, entities: Iterable[Entity], *, is_expected: bool) -> dict[tuple[str, _Address], Entity]:
        found: dict[tuple[str, _Address], list[Entity]] = defaultdict(list)
        for entity in entities:
            where = self._where(entity, is_expected=is_expected)
            if where is not None and entity.role is not None:
                found[entity.role.stage, self._address(entity, where[0])].append(entity)
        return {key: group[0] for key, group in found.items() if len(group) == 1}


_NO_SHIFT = Shift(0)


def _stages_differ(expected: Entity, actual: Entity) -> bool:
    here, there = expected.role, actual.role
    return here is not None and there is not None and here.stage != there.stage


def _by_key(entities: Iterable[Entity], key: _Key) -> dict[Hashable, list[Entity]]:
    found: dict[Hashable, list[Entity]] = defaultdict(list)
    for entity in entities:
        address = key(entity)
        if address is not None:
            found[address].append(entity)
    return found


def _role_note(expected: Entity, actual: Entity) -> str | None:
    notes = [role.note for role in (expected.role, actual.role) if role is not None and role.note is not None]
    here, there = expected.spelling, actual.spelling
    if here.is_guessed != there.is_guessed:
        guessed = expected if here.is_guessed else actual
        notes.append(f"{guessed.name!r} was taken for {guessed.spelling.what.removesuffix('s')}")
    return "; ".join(dict.fromkeys(notes)) or None


def _may_be_one_size(one: Entity, other: Entity) -> bool:
    """Whether their sizes are equal, by themselves or over all ranks."""
    sizes = [
        {entity.record.elements, sum(r.elements for r in entity.records.values())} for entity in (one, other)
    ]
    return bool(sizes[0] & sizes[1])


def _size_note(expected: Entity, actual: Entity) -> str | None:
    one, other = expected.record.elements, actual.record.elements
    if one == other or len(actual.records) > 1:
        return None
    return f"they have {one:,} and {other:,} elements"


def _size_veto(expected: Entity, actual: Entity) -> str | None:
    """Why these cannot be the same by their sizes, whatever the shards and layouts."""
    one = expected.record.elements
    other = sum(record.elements for record in actual.records.values())
    if one == other or (one and other and (one % other == 0 or other % one == 0)):
        return None
    if len(expected.records) > 1:
        return None
    return (
        f"{expected.record.name!r} and {actual.record.name!r} seem to be the same part but were not paired: "
        f"{one:,} elements cannot be {other:,}"
    )
