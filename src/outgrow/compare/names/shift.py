"""Layers that are counted from another number in the other run: 3..6 against 0..3."""

__all__ = ["Shift", "find_shifts"]

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from outgrow.compare.names.entity import Entity
from outgrow.compare.names.likeness import likelier
from outgrow.compare.names.spelling import layer_span

# Parts that one run may hold in one tensor and the other in several.
_EITHER_WAY = ("qkv", "qk", "kv", "query", "key", "value", "mlp.in", "mlp.gate_up", "mlp.gate", "mlp.up")

_Layers = dict[int, dict[tuple[str, str], Entity]]
"""By number and mark: what of the layer."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How the layers of one tower are numbered."""

    offset: int | None
    """What to add to an actual layer's number to have the expected one; None where nobody can tell."""
    note: str | None = None


def find_shifts(expected: Sequence[Entity], actual: Sequence[Entity]) -> dict[str, Shift]:
    """By tower. A shift is taken only where all layers of the one run answer all of the other and nothing
    speaks for equal numbers; where both could be, the contents of a few tensors decide, or else neither is.
    """
    left, right = _layers(expected), _layers(actual)
    return {tower: _find_shift(tower, left[tower], right[tower]) for tower in left if tower in right}


def _layers(entities: Sequence[Entity]) -> dict[str, _Layers]:
    towers: dict[str, _Layers] = defaultdict(lambda: defaultdict(dict))
    for entity in entities:
        spelling = entity.spelling
        if spelling.layer is not None:
            towers[spelling.tower][spelling.layer][_mark(entity), spelling.leaf] = entity
    return towers


def _mark(entity: Entity) -> str:
    return entity.role.stage if entity.role is not None else f"={entity.spelling.rest}"


def _find_shift(tower: str, left: _Layers, right: _Layers) -> Shift:
    here, there = sorted(left), sorted(right)
    offset = here[0] - there[0]
    if (
        here == there
        or len(here) != len(there)
        or any(a - b != offset for a, b in zip(here, there, strict=True))
    ):
        return Shift(0)
    where = f" of {tower}" if tower else ""
    told = f"layers {_span(here)}{where} of the expected run and {_span(there)} of the actual one"
    overlap = len(set(here) & set(there))
    if not _agree(left, right, offset):
        if overlap:
            return Shift(0)
        return Shift(None, f"{told} were not paired: not all of them have the same tensors")
    applied = Shift(
        offset, f"{told} were taken for the same ones, {abs(offset)} apart, since all of them fit"
    )
    if not overlap or not _agree(left, right, 0):
        return applied
    # 3..6 against 0..3: one run counts from its own beginning, and hardly any number is on both sides.
    if 2 * overlap < len(here) and min(here[0], there[0]) <= 1:
        return applied
    found = likelier(_pairs(left, right, 0), _pairs(left, right, offset))
    if found is not None:
        which, near, far = found
        how = f"{abs(offset)} apart" if which else "by equal numbers"
        return Shift(
            which * offset,
            f"{told} were paired {how}, since that fits their contents: sorted numbers are {near:.1e} apart, "
            f"against {far:.1e}",
        )
    here_name, there_name = _pattern(left), _pattern(right)
    shifted_name = there_name.replace("{layer}", f"{{layer{-offset:+d}}}")
    return Shift(
        None,
        f"{told} were not paired: equal numbers may mean equal layers, or all may be {abs(offset)} apart. A "
        f"map can tell: `{here_name} = {there_name}` or `{here_name} = {shifted_name}`",
    )


def _agree(left: _Layers, right: _Layers, offset: int) -> bool:
    """Whether each layer has the same tensors, of the same sizes, as the one that would answer it."""
    kept_left = {mark for layer in left.values() for mark in layer}
    kept = kept_left & {mark for layer in right.values() for mark in layer}
    if not kept:
        return _agree_on_fused(left, right, offset)
    for number, layer in left.items():
        other = right.get(number - offset)
        if other is None:
            continue
        if (layer.keys() & kept) != (other.keys() & kept):
            return False
        if any(not _same_size(layer[mark], other[mark]) for mark in layer.keys() & kept):
            return False
    return True


def _agree_on_fused(left: _Layers, right: _Layers, offset: int) -> bool:
    """Whether each layer has of those parts that one run may hold in one tensor."""

    def has_any(layer: dict[tuple[str, str], Entity]) -> bool:
        return any(stage in _EITHER_WAY for stage, _ in layer)

    return all(
        has_any(layer) and has_any(right.get(number - offset, layer)) for number, layer in left.items()
    )


def _pairs(left: _Layers, right: _Layers, offset: int) -> list[tuple[Entity, Entity]]:
    """What would be paired, from the first layer on."""
    return [
        (layer[mark], right[number - offset][mark])
        for number, layer in sorted(left.items())
        if number - offset in right
        for mark in layer
        if mark in right[number - offset]
    ]


def _same_size(left: Entity, right: Entity) -> bool:
    if len(left.records) > 1 or len(right.records) > 1:
        return True
    fewer, more = sorted((left.record.elements, right.record.elements))
    # Key and value heads may stand once for each head of the query on one side.
    return fewer == more or (fewer > 0 and more % fewer == 0)


def _pattern(layers: _Layers) -> str:
    """How the layers are called, for a map."""
    entity = next(iter(layers[min(layers)].values()))
    name = entity.record.name
    start, _ = layer_span(name) or (0, 0)
    return f"{name[:start]}{{layer}}*"


def _span(layers: Sequence[int]) -> str:
    if len(layers) == 1:
        return str(layers[0])
    is_dense = layers[-1] - layers[0] == len(layers) - 1
    return f"{layers[0]}..{layers[-1]}" if is_dense else ", ".join(map(str, layers))
