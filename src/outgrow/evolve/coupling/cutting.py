"""Take extents apart where a model does: into factors, and into one piece behind the other."""

__all__ = ["bundle", "chain", "cut", "regroup", "repeated", "split_front"]

from collections.abc import Sequence
from math import prod

from outgrow.evolve.coupling.extent import Extent


def split_front(extent: Extent, count: int) -> tuple[Extent, Extent]:
    """`extent` as a product of a factor of `count` indices (major) and the rest (minor).

    Where it cannot be taken apart so, it is frozen and two frozen extents come back.
    """
    rest = extent.size // count
    regrouped = regroup([extent], [count, rest])
    if regrouped is None:
        why = f"cannot be taken apart into {count} x {rest}"
        extent.freeze(why)
        return Extent(count, frozen=why), Extent(rest, frozen=why)
    front, back = (bundle(factors, size) for factors, size in zip(regrouped, (count, rest), strict=True))
    return front, back


def repeated(size: int) -> Extent:
    """A dim along which everything is the same: as long as whatever meets it asks for."""
    return Extent(size, frozen="has one index only" if size == 1 else None)


def bundle(factors: Sequence[Extent], size: int) -> Extent:
    """One extent of these factors."""
    real = [factor for factor in factors if factor.size != 1]
    if len(real) == 1:
        return real[0]
    made = Extent(size, frozen=None if real else "has one index only")
    if real:
        made.refine("product", tuple(real))
    return made


def regroup(extents: Sequence[Extent], sizes: Sequence[int]) -> list[list[Extent]] | None:
    """The factors of `extents`, major to minor, grouped so that each group has one of `sizes` indices.

    Factors are taken apart where that is needed; None where it cannot be done.
    """
    factors = [one.find() for extent in extents for one in extent.factors() if one.size != 1]
    groups: list[list[Extent]] = []
    for size in sizes:
        needed, group = size, list[Extent]()
        while needed > 1:
            if not factors:
                return None
            factor = factors.pop(0).find()
            if factor.shape == "product":
                factors[:0] = factor.factors()
                continue
            if needed % factor.size == 0:
                group.append(factor)
                needed //= factor.size
            elif factor.size % needed == 0 and _take_apart(factor, needed):
                factors[:0] = factor.factors()
            else:
                return None
        groups.append(group)
    return groups if not factors else None


def _take_apart(factor: Extent, count: int) -> bool:
    rest = factor.size // count
    if factor.shape == "leaf":
        factor.refine("product", (Extent(count), Extent(rest)))
        return True
    if factor.shape == "sum" and len(factor.parts) == count and all(p.size == rest for p in factor.parts):
        # As many equal parts as are asked for: the number of parts stays, the parts become one.
        for other in factor.parts[1:]:
            factor.parts[0].unify(other, "a view")
        factor.shape = "product"
        factor.parts = (Extent(count, frozen="is a number of parts"), factor.parts[0])
        return True
    return False


def cut(extent: Extent, sizes: Sequence[int]) -> list[Extent] | None:
    """`extent` as pieces of `sizes` indices, one behind the other; None where it cannot be cut there."""
    found = extent.find()
    real = [size for size in sizes if size]
    if len(real) == 1 and real[0] == found.size:
        return [found if size else Extent(0, frozen="is empty") for size in sizes]
    if found.shape == "leaf":
        pieces = [Extent(size, frozen=None if size > 1 else "has one index only") for size in sizes]
        found.refine("sum", tuple(piece for piece in pieces if piece.size))
        return pieces
    if found.shape == "sum":
        return _cut_sum(found, sizes)
    return _cut_product(found, sizes)


def _cut_sum(extent: Extent, sizes: Sequence[int]) -> list[Extent] | None:
    waiting = list(extent.parts)
    pieces = []
    for size in sizes:
        taken, have = list[Extent](), 0
        while have < size:
            part = waiting.pop(0)
            if have + part.size > size:
                both = cut(part, [size - have, part.size - (size - have)])
                if both is None:
                    return None
                part, rest = both
                waiting.insert(0, rest)
            taken.append(part)
            have += part.size
        pieces.append(chain(taken, size))
    return pieces


def _cut_product(extent: Extent, sizes: Sequence[int]) -> list[Extent] | None:
    factors = extent.factors()
    inner = prod(factor.size for factor in factors[1:])
    if any(size % inner for size in sizes):
        return None
    fronts = cut(factors[0], [size // inner for size in sizes])
    if fronts is None:
        return None
    return [bundle([front, *factors[1:]], size) for front, size in zip(fronts, sizes, strict=True)]


def chain(parts: Sequence[Extent], size: int) -> Extent:
    """One extent of these parts, one behind the other."""
    if len(parts) == 1:
        return parts[0]
    made = Extent(size)
    if parts:
        made.refine("sum", tuple(parts))
    return made
