"""Layouts that people put together: from dims set against each other, or from a list of the usual ones."""

__all__ = ["CommonLayout", "common_layouts", "dims_of", "hint_by_hand"]

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from outgrow.compare.layout.candidates import find_candidates, raw_reshape
from outgrow.compare.layout.chain import chain, split_chain
from outgrow.compare.layout.combining import concatenations, one_tensor, straight
from outgrow.compare.layout.fused import fused_in_actual, fused_in_expected, repeated
from outgrow.compare.layout.layout import Identity, Layout
from outgrow.compare.layout.ranks import Concatenate, PartialSum, Replicated, Sections, Stack
from outgrow.compare.layout.rearrange import Rearrange, squeezed
from outgrow.compare.layout.sides import Option
from outgrow.compare.layout.simplified import refined, simplified
from outgrow.compare.layout.written import hint_of
from outgrow.compare.pair import FusedPart
from outgrow.errors import InputError

Shape = tuple[int, ...]
_MOST = 8
_LOOKED_AT = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonLayout:
    """One of the usual layouts for two shapes."""

    name: str
    """In words: `heads first`."""
    hint: str


def common_layouts(
    expected_shape: Shape, actual_shapes: Sequence[Shape], *, fused: FusedPart | None = None
) -> tuple[CommonLayout, ...]:
    """What the shapes allow, the simplest first; no numbers are looked at. Empty where nothing fits."""
    levels = _levels(expected_shape, list(actual_shapes), fused)
    options = list(itertools.islice(itertools.chain.from_iterable(levels), _LOOKED_AT))
    found: dict[str, CommonLayout] = {}
    for option in sorted(options, key=lambda option: not option.is_usual):
        hint, name = hint_of(option.layout, option.expected_layout), _name(option)
        # Of several that are called the same the simplest is enough: the others can be put together by dims.
        if hint is not None and len(found) < _MOST:
            found.setdefault(name, CommonLayout(name=name, hint=hint))
    return tuple(found.values())


def hint_by_hand(
    shape: Shape, pieces: Sequence[Sequence[int]], order: Sequence[Sequence[int]], target: Shape
) -> str:
    """The layout that takes a tensor of `shape` to `target`.

    Args:
        shape: of the actual tensor, or of what its ranks make.
        pieces: for each of its dims the factors it is cut into, from the outermost; one where it stays whole.
        order: for each dim of `target` the pieces it is made of, from the outermost, counted through all of
            `pieces`.
        target: what is expected.

    Raises:
        InputError: the pieces are not the dims, or do not make the target.
    """
    if [math.prod(cut) for cut in pieces] != list(shape):
        raise InputError(
            f"the pieces {[list(cut) for cut in pieces]} do not make up the dims {list(shape)}",
            hint="the factors of a dim multiply to its size",
        )
    atoms = [size for cut in pieces for size in cut]
    places = [place for dim in order for place in dim]
    left = [place for place in range(len(atoms)) if place not in places and atoms[place] != 1]
    if left or len(set(places)) != len(places) or not all(0 <= place < len(atoms) for place in places):
        unused = f"pieces that are used nowhere: {[atoms[place] for place in left]}"
        raise InputError(
            "each piece of the actual tensor belongs to one dim of the expected one",
            hint=unused if left else "use each piece once",
        )
    made = tuple(math.prod(atoms[place] for place in dim) for dim in order)
    if made != tuple(target):
        raise InputError(
            f"this makes {list(made)}, but {list(target)} is expected", hint="move or cut dims until they fit"
        )
    real = [place for place in places if atoms[place] != 1]
    ranked = sorted(real)
    step = Rearrange(
        source=tuple(shape),
        atoms=tuple(atoms[place] for place in ranked),
        order=tuple(ranked.index(place) for place in real),
        shape=made,
    )
    hint = hint_of(simplified(step))
    assert hint is not None, "a rearrangement can always be written"
    return hint


def dims_of(layout: Layout) -> tuple[list[list[int]], list[list[int]]] | None:
    """What `hint_by_hand` is given for this layout of one tensor: `pieces` and `order`. None where dims are
    cut across each other, as in a reshape of `[2, 3]` to `[3, 2]`, or where it is no rearrangement."""
    step = simplified(layout)
    if not isinstance(step, Rearrange) or not math.prod(step.source):
        return None
    cut = _cut(list(step.atoms), list(step.source))
    if cut is None:
        return None
    # Pieces by the atom that they are of, in the source's order; then in the order of the result.
    sizes = [size for atom in cut for size in atom]
    starts = list(itertools.accumulate((len(atom) for atom in cut), initial=0))
    moved = [piece for atom in step.order for piece in range(starts[atom], starts[atom + 1])]
    again = _cut([sizes[piece] for piece in moved], list(step.shape))
    if again is None:
        return None
    halves = dict(zip(moved, again, strict=True))
    atoms = [size for piece in range(len(sizes)) for size in halves[piece]]
    firsts = list(itertools.accumulate((len(halves[piece]) for piece in range(len(sizes))), initial=0))
    placed = [place for piece in moved for place in range(firsts[piece], firsts[piece + 1])]
    pieces = _shared_out(list(range(len(atoms))), atoms, step.source)
    order = _shared_out(placed, atoms, step.shape)
    return [[atoms[place] for place in dim] or [1] for dim in pieces], _counted(pieces, order)


def _cut(atoms: list[int], dims: list[int]) -> list[list[int]] | None:
    """Each atom as pieces that none of the dims cuts through."""
    found = refined(atoms, dims)
    if found is None:
        return None
    made, place = [], 0
    for atom in atoms:
        pieces: list[int] = []
        while math.prod(pieces) < atom:
            pieces.append(found[place])
            place += 1
        made.append(pieces)
    return made


def _shared_out(places: list[int], atoms: list[int], dims: Sequence[int]) -> list[list[int]]:
    """The places as those that make up each dim."""
    left = iter(places)
    made = []
    for size in dims:
        dim: list[int] = []
        while math.prod(atoms[place] for place in dim) < size:
            dim.append(next(left))
        made.append(dim)
    return made


def _counted(pieces: list[list[int]], order: list[list[int]]) -> list[list[int]]:
    """`order` by how pieces are counted where dims of size 1 have one, too."""
    counted: dict[int, int] = {}
    count = 0
    for dim in pieces:
        for place in dim:
            counted[place] = count
            count += 1
        count += not dim
    return [[counted[place] for place in dim] for dim in order]


def _levels(target: Shape, shapes: list[Shape], fused: FusedPart | None) -> Iterator[Sequence[Option]]:
    counts, wanted = [math.prod(shape) for shape in shapes], math.prod(target)
    if fused is not None:
        if wanted and sum(counts):
            find = fused_in_actual if fused.side == "actual" else fused_in_expected
            yield from find(shapes, target, fused, are_equal=False)
        return
    if len(shapes) == 1 and counts[0] == wanted:
        yield from _single(shapes[0], target)
    if len(shapes) > 1 and sum(counts) == wanted:
        yield from (concatenations(shapes, target) if wanted else _empty(shapes, target))
    if len(shapes) > 1 and len(set(shapes)) == 1 and counts[0] == wanted:
        for combined in (
            Replicated(ranks=len(shapes), local=shapes[0]),
            PartialSum(ranks=len(shapes), local=shapes[0]),
        ):
            yield from itertools.islice(one_tensor(shapes[0], target, before=combined), 1)
    elif wanted and sum(counts) and sum(counts) != wanted:
        yield from repeated(shapes, target)


def _single(shape: Shape, target: Shape) -> Iterator[list[Option]]:
    if squeezed(shape) == squeezed(target) or 0 in shape:
        yield from one_tensor(shape, target)
    if 0 in shape:
        return
    for level in find_candidates(shape, target, max_level=0, limit=_LOOKED_AT):
        yield [Option.of(candidate, lambda found: found.rearrange) for candidate in level]
    yield [Option.of(raw_reshape(shape, target), lambda found: found.rearrange)]


def _empty(shapes: Sequence[Shape], target: Shape) -> Iterator[list[Option]]:
    for combined, shape in straight(shapes):
        if math.prod(shape) == math.prod(target):
            yield from one_tensor(shape, target, before=combined)


def _name(option: Option) -> str:
    first, rest = split_chain(simplified(option.layout))
    names = {
        Concatenate: "side by side", Sections: "side by side, in sections", Stack: "ranks as a dim",
        Replicated: "all ranks alike", PartialSum: "sum of the ranks",
    }  # fmt: skip
    words = [names[type(first)]] if type(first) in names else []
    if not words:
        rest = chain(first, rest)
    if (move := _move(rest)) is not None:
        words.append(move)
    if not option.expected_layout.is_identity:
        words.append(f"expected: {option.expected_layout.describe()}")
    return ", ".join(words) or "as it is"


def _move(layout: Layout) -> str | None:
    if isinstance(layout, Identity):
        return None
    if not isinstance(layout, Rearrange):
        return layout.describe()
    if layout.is_reshape:
        if squeezed(layout.source) == squeezed(layout.shape):
            return "dims of size 1"
        return "flatten" if len(squeezed(layout.shape)) == 1 else "reshape"
    usual = {
        (1, 0): "transpose", (1, 0, 2): "heads first", (0, 2, 1): "last two dims exchanged",
        (0, 2, 1, 3): "heads first in each batch", (2, 0, 1): "last dim first", (1, 2, 0): "first dim last",
    }  # fmt: skip
    whole = _whole_dims(layout)
    if whole is not None:
        return usual.get(whole, "permute")
    return usual.get(layout.merged[1], "permute") + ", dims cut or merged"


def _whole_dims(layout: Rearrange) -> tuple[int, ...] | None:
    """In which order the dims larger than 1 come out; None where one is cut or merged."""
    found = dims_of(layout)
    if found is None or any(len(dim) > 1 for dims in found for dim in dims):
        return None
    moved = [place for dim in found[1] for place in dim]
    ranked = sorted(moved)
    return tuple(ranked.index(place) for place in moved)
