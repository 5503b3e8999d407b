"""How long a dim is, and of what it is made: the unknowns that a coupling analysis solves for."""

__all__ = ["Extent", "Positions", "Reduction"]

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

type_of_parts = Literal["leaf", "product", "sum"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """A statistic that is computed along an extent."""

    module: str
    """Qualified name of the module that computes it; empty for the model itself."""
    op: str
    """The ATen op: `native_layer_norm`, `mean`, `_softmax`, ..."""


class Extent:
    """The indices along a dim, shared by every dim that has to keep the same ones.

    An extent begins as a leaf of `size` indices. What a model does refines it: a view into heads makes it a
    *product* (major to minor, as in row-major order), a split or a concatenation a *sum* (one part behind the
    other). Two extents that are added to each other become one. `frozen` says why its size cannot change;
    `reduced_by` lists the modules that compute a statistic along it.
    """

    __slots__ = ("_size", "_target", "frozen", "parts", "reduced_by", "shape")

    def __init__(self, size: int, *, frozen: str | None = None) -> None:
        self._size = size
        self._target: Extent | None = None
        self.frozen: str | None = frozen
        self.parts: tuple[Extent, ...] = ()
        self.shape: type_of_parts = "leaf"
        self.reduced_by: set[Reduction] = set()

    @property
    def size(self) -> int:
        """How many indices there are."""
        return self._size

    def find(self) -> "Extent":
        """The extent that this one has become one with."""
        found = self
        while found._target is not None:
            found = found._target
        while self._target is not None:
            self._target, self = found, self._target
        return found

    def freeze(self, why: str) -> None:
        """Remember the first reason why the size cannot change."""
        for leaf in self.leaves():  # a product that a view made stands in no weight, its factors do
            if leaf.frozen is None:
                leaf.frozen = why

    def reduce(self, module: str, op: str) -> None:
        """Remember that `module` computes the statistic `op` along it."""
        self._reduce({Reduction(module=module, op=op)})

    def _reduce(self, reductions: set[Reduction]) -> None:
        for leaf in self.leaves():
            leaf.reduced_by |= reductions

    def factors(self) -> list["Extent"]:
        """The factors, major to minor, none of them a product."""
        found = self.find()
        if found.shape != "product":
            return [found]
        return [one for part in found.parts for one in part.factors()]

    def refine(self, shape: type_of_parts, parts: tuple["Extent", ...]) -> None:
        """Give a leaf its parts; what was said of it holds for them."""
        found = self.find()
        assert found.shape == "leaf", "only a leaf is refined"
        found.shape, found.parts = shape, parts
        if found.frozen is not None:
            found.freeze(found.frozen)
        found._reduce(found.reduced_by)

    def unify(self, other: "Extent", where: str) -> None:
        """Make both one extent; what cannot be brought together is frozen, for the reason `where`."""
        mine, theirs = self.find(), other.find()
        if mine is theirs:
            return
        if mine.size != theirs.size:
            _freeze_both(mine, theirs, f"{where} joins dims of {mine.size} and {theirs.size}")
        elif mine.shape == "leaf":
            mine._become(theirs)
        elif theirs.shape == "leaf":
            theirs._become(mine)
        elif mine.shape == theirs.shape and _unify_parts(mine, theirs, where):
            mine._become(theirs)
        else:
            _freeze_both(mine, theirs, f"{where} joins dims that are made up differently")

    def _become(self, other: "Extent") -> None:
        self._target = other
        if self.frozen is not None:
            other.freeze(self.frozen)
        other._reduce(self.reduced_by)

    def leaves(self) -> list["Extent"]:
        """The leaves below, in order, repeated where they occur repeatedly."""
        found = self.find()
        if found.shape == "leaf":
            return [found]
        return [leaf for part in found.parts for leaf in part.leaves()]

    def positions(self, leaf: "Extent", sources: Tensor) -> "Positions":
        """Where each index comes from once `leaf` has the units `sources` (int64 `[new]`)."""
        found = self.find()
        if found is leaf:
            return Positions(gather=sources.clone(), unit=torch.arange(len(sources)))
        if found.shape == "leaf":
            return Positions.unchanged(found.size)
        parts = [part.positions(leaf, sources) for part in found.parts]
        sizes = [part.find().size for part in found.parts]
        return (
            Positions.concatenated(parts, sizes)
            if found.shape == "sum"
            else Positions.multiplied(parts, sizes)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """For each new index of a dim: the old index, and the unit of the changing extent, -1 outside of it."""

    gather: Tensor
    """int64 `[new]`."""
    unit: Tensor
    """int64 `[new]`."""

    @staticmethod
    def unchanged(size: int) -> "Positions":
        """Of an extent that the change does not touch."""
        return Positions(gather=torch.arange(size), unit=torch.full((size,), -1))

    @staticmethod
    def concatenated(parts: list["Positions"], sizes: list[int]) -> "Positions":
        """Of a sum whose parts had `sizes` indices."""
        offsets = [sum(sizes[:place]) for place in range(len(sizes))]
        return Positions(
            gather=torch.cat([part.gather + offset for part, offset in zip(parts, offsets, strict=True)]),
            unit=torch.cat([part.unit for part in parts]),
        )

    @staticmethod
    def multiplied(parts: list["Positions"], sizes: list[int]) -> "Positions":
        """Of a product whose factors had `sizes` indices."""
        gather, unit = torch.zeros(1, dtype=torch.int64), torch.full((1,), -1)
        for part, size in zip(parts, sizes, strict=True):
            gather = (gather[:, None] * size + part.gather[None, :]).reshape(-1)
            unit = torch.maximum(unit[:, None], part.unit[None, :]).reshape(-1)
        return Positions(gather=gather, unit=unit)


def _freeze_both(mine: Extent, theirs: Extent, why: str) -> None:
    for leaf in {*mine.leaves(), *theirs.leaves()}:
        leaf.freeze(why)


def _unify_parts(mine: Extent, theirs: Extent, where: str) -> bool:
    """Bring the parts of two products, or of two sums, to the same cuts; whether that could be done."""
    if mine.shape == "product":
        left, right, is_product = mine.factors(), theirs.factors(), True
    else:
        left, right, is_product = list(mine.parts), list(theirs.parts), False
    while left and right:
        one, two = left.pop(0).find(), right.pop(0).find()
        if one.size == two.size:
            one.unify(two, where)
            continue
        short, long = (one, two) if one.size < two.size else (two, one)
        rest_of_long = long.size // short.size if is_product else long.size - short.size
        if long.shape == "leaf" and (not is_product or long.size % short.size == 0):
            first, second = Extent(short.size), Extent(rest_of_long)
            long.refine("product" if is_product else "sum", (first, second))
            pieces = [first, second]
        elif not is_product and long.shape == "sum":
            pieces = list(long.parts)
        else:
            return False
        (left if long is one else right)[:0] = pieces
        (right if long is one else left)[:0] = [short]
    return not left and not right
