"""What two layouts of different sizes have in common: queries and keys of a model lie in the same way."""

__all__ = ["Pattern", "pattern_of"]

from collections.abc import Hashable, Sequence

from outgrow.compare.layout.chain import Chain
from outgrow.compare.layout.layout import Layout
from outgrow.compare.layout.parts import Part, Repeat
from outgrow.compare.layout.ranks import Concatenate, Sections
from outgrow.compare.layout.rearrange import Rearrange

Pattern = tuple[Hashable, ...]


def pattern_of(layout: Layout) -> Pattern:
    """The layout without its sizes; equal for those that do the same to tensors of different sizes."""
    parts = layout.layouts if isinstance(layout, Chain) else (layout,)
    return tuple(_of_one(part) for part in parts)


def _of_one(layout: Layout) -> Hashable:
    if isinstance(layout, Rearrange):
        atoms, order = layout.merged
        moved = [atoms[place] for place in order]
        return "rearrange", _grouped(layout.source, atoms), order, _grouped(layout.shape, moved)
    if isinstance(layout, Concatenate | Sections):
        return type(layout).__name__, layout.dim
    if isinstance(layout, Part):
        # Query, key and value of one tensor are cut into equally many runs.
        return "part", layout.dim, layout.groups
    if isinstance(layout, Repeat):
        return "repeat", layout.dim, layout.block == 1, layout.block == layout.source[layout.dim]
    return type(layout).__name__


def _grouped(shape: Sequence[int], atoms: Sequence[int]) -> tuple[int, ...]:
    """How many atoms each dim has that is larger than 1. An atom that reaches over several dims counts as a
    whole in each of them."""
    counts, place, left = [], 0, 1
    for size in (size for size in shape if size > 1):
        count, rest = 0, size
        while rest > 1 and place < len(atoms):
            if left == 1:
                left = atoms[place]
            count += 1
            if left <= rest:
                rest, left, place = rest // left, 1, place + 1
            else:
                left, rest = left // rest, 1
        counts.append(count)
    return tuple(counts)
