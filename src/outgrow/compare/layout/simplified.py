"""The same layout in one way of writing: equal for layouts that were put together otherwise."""

__all__ = ["refined", "simplified"]

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from outgrow.compare.layout.chain import Chain, chain
from outgrow.compare.layout.layout import Layout
from outgrow.compare.layout.rearrange import Rearrange


def simplified(layout: Layout) -> Layout:
    """With neighbouring rearrangements as one where that is possible, of as few atoms as possible."""
    done: list[Layout] = []
    for part in layout.layouts if isinstance(layout, Chain) else (layout,):
        if not isinstance(part, Rearrange):
            done.append(part)
            continue
        step = _fewest(part)
        while done and isinstance(before := done[-1], Rearrange):
            joined = _joined(before, step)
            if joined is None:
                # Any shape would do between them.
                done[-1] = replace(before, shape=step.atoms)
                step = replace(step, source=step.atoms)
                break
            done.pop()
            step = _fewest(joined)
        done.append(step)
    return chain(*done)


def _fewest(step: Rearrange) -> Rearrange:
    if step.is_reshape:
        return Rearrange(source=step.source, atoms=(math.prod(step.source),), order=(0,), shape=step.shape)
    atoms, order = step.merged
    return Rearrange(source=step.source, atoms=atoms, order=order, shape=step.shape)


def _joined(first: Rearrange, second: Rearrange) -> Rearrange | None:
    """Both as one; None where the second cuts what the first made across its atoms: `[2, 3]` as `[3, 2]`."""
    if not math.prod(first.source):
        return Rearrange(
            source=first.source, atoms=first.source, order=tuple(range(len(first.source))), shape=second.shape
        )
    if second.is_reshape:
        return replace(first, shape=second.shape)
    if first.is_reshape:
        return replace(second, source=first.source)
    between = [first.atoms[place] for place in first.order]
    pieces = refined(between, second.atoms)
    if pieces is None:
        return None
    # Every piece by where it stands in the source: the atom that it is of, and which piece of that.
    made = [
        (place, index)
        for place, atom in zip(first.order, _grouped(pieces, between), strict=True)
        for index in range(len(atom))
    ]
    ranked = sorted(made)
    sizes = dict(zip(made, pieces, strict=True))
    of_second = _grouped(list(range(len(pieces))), second.atoms, sizes=pieces)
    order = [ranked.index(made[piece]) for place in second.order for piece in of_second[place]]
    return Rearrange(
        source=first.source,
        atoms=tuple(sizes[key] for key in ranked),
        order=tuple(order),
        shape=second.shape,
    )


def refined(one: Sequence[int], other: Sequence[int]) -> list[int] | None:
    """Sizes into which the atoms of both can be cut, from the outermost; None where there are none."""
    ends = sorted({math.prod(atoms[place:]) for atoms in (one, other) for place in range(len(atoms) + 1)})
    if any(larger % smaller for smaller, larger in pairwise(ends)):
        return None
    return [larger // smaller for smaller, larger in pairwise(ends)][::-1]


def _grouped(
    items: Sequence[int], atoms: Sequence[int], *, sizes: Sequence[int] | None = None
) -> list[list[int]]:
    """The items, which are or have sizes, as those that make up each atom."""
    groups: list[list[int]] = []
    place = 0
    for atom in atoms:
        group: list[int] = []
        left = atom
        while left > 1:
            left //= (sizes or items)[place]
            group.append(items[place])
            place += 1
        groups.append(group)
    return groups
