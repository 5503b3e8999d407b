"""The tensors of several ranks as one: side by side, all the same, or added up."""

__all__ = ["Combination", "Concatenate", "PartialSum", "Replicated", "Sections", "Stack"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from outgrow.compare.layout.layout import Layout, Positions
from outgrow.errors import InputError


@runtime_checkable
class Combination(Layout, Protocol):
    """A layout that makes one tensor of those of all ranks."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        ...

    def locate_ranks(self, positions: Positions) -> list[tuple[Positions, Positions]]:
        """For the numbers at `positions` of the result: whose ranks' numbers they are the sum of, and where
        those stand in the rank's tensor. One entry for each summand, usually one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Concatenate:
    """The ranks' tensors one after the other along a dim; they may be of different sizes along it."""

    dim: int
    shapes: tuple[tuple[int, ...], ...]
    """Of each rank's tensor, in order."""

    is_identity = False

    def __post_init__(self) -> None:
        rest = {(len(shape), shape[: self.dim], shape[self.dim + 1 :]) for shape in self.shapes}
        if len(rest) != 1 or not 0 <= self.dim < len(self.shapes[0]):
            raise InputError(
                f"tensors of shapes {', '.join(str(list(shape)) for shape in self.shapes)} cannot be "
                f"concatenated along dim {self.dim}",
                hint="all dims but that one must have equal sizes",
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """As `Combination.shape`."""
        first = self.shapes[0]
        size = sum(shape[self.dim] for shape in self.shapes)
        return (*first[: self.dim], size, *first[self.dim + 1 :])

    def apply(self, tensors: Sequence[Tensor]) -> Tensor:
        """As `Layout.apply`: a copy."""
        _check(tensors, self.shapes)
        return torch.cat(list(tensors), dim=self.dim)

    def locate_ranks(self, positions: Positions) -> list[tuple[Positions, Positions]]:
        """As `Combination.locate_ranks`."""
        inner = math.prod(self.shape[self.dim + 1 :])
        size = self.shape[self.dim]
        sizes = np.array([shape[self.dim] for shape in self.shapes], dtype=np.int64)
        ends = np.cumsum(sizes)
        row, column = np.divmod(positions, inner)
        outer, place = np.divmod(row, size)
        ranks = np.searchsorted(ends, place, side="right")
        within = place - (ends - sizes)[ranks]
        return [(ranks, (outer * sizes[ranks] + within) * inner + column)]

    def describe(self) -> str:
        """As `Layout.describe`."""
        return f"concatenate {len(self.shapes)} ranks along dim {self.dim}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections:
    """As `Concatenate`, but for each section of the dim by itself: ranks that hold `[q; k; v]` of their own
    heads make `[q; k; v]` of all."""

    dim: int
    ranks: int
    local: tuple[int, ...]
    """Shape of each rank's tensor."""
    sizes: tuple[int, ...]
    """Of the sections in it."""

    is_identity = False

    def __post_init__(self) -> None:
        if sum(self.sizes) != self.local[self.dim] or min(self.sizes) < 1:
            raise InputError(
                f"dim {self.dim} of {list(self.local)} has no sections of {list(self.sizes)}",
                hint="the sections must add up to the dim",
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """As `Combination.shape`."""
        size = self.local[self.dim] * self.ranks
        return (*self.local[: self.dim], size, *self.local[self.dim + 1 :])

    def apply(self, tensors: Sequence[Tensor]) -> Tensor:
        """As `Layout.apply`: a copy."""
        _check(tensors, (self.local,) * self.ranks)
        cut = [tensor.split(list(self.sizes), dim=self.dim) for tensor in tensors]  # type: ignore[no-untyped-call]
        return torch.cat([section for same in zip(*cut, strict=True) for section in same], dim=self.dim)

    def locate_ranks(self, positions: Positions) -> list[tuple[Positions, Positions]]:
        """As `Combination.locate_ranks`."""
        inner = math.prod(self.local[self.dim + 1 :])
        size = self.local[self.dim]
        sizes = np.array(self.sizes, dtype=np.int64)
        starts = np.cumsum(sizes) - sizes
        row, column = np.divmod(positions, inner)
        outer, place = np.divmod(row, size * self.ranks)
        section = np.searchsorted(starts * self.ranks, place, side="right") - 1
        ranks, within = np.divmod(place - starts[section] * self.ranks, sizes[section])
        return [(ranks, (outer * size + starts[section] + within) * inner + column)]

    def describe(self) -> str:
        """As `Layout.describe`."""
        sizes = ", ".join(map(str, self.sizes))
        return f"concatenate {self.ranks} ranks along dim {self.dim}, each of the sections {sizes} by itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The ranks' tensors along a new first dim; `Rearrange` then says where that belongs."""

    ranks: int
    local: tuple[int, ...]
    """Shape of each rank's tensor."""

    is_identity = False

    @property
    def shape(self) -> tuple[int, ...]:
        """As `Combination.shape`."""
        return (self.ranks, *self.local)

    def apply(self, tensors: Sequence[Tensor]) -> Tensor:
        """As `Layout.apply`: a copy."""
        _check(tensors, (self.local,) * self.ranks)
        return torch.stack(list(tensors))

    def locate_ranks(self, positions: Positions) -> list[tuple[Positions, Positions]]:
        """As `Combination.locate_ranks`."""
        return [np.divmod(positions, max(1, math.prod(self.local)))]

    def describe(self) -> str:
        """As `Layout.describe`."""
        return f"stack {self.ranks} ranks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicated:
    """Every rank holds the whole: one of them is used."""

    ranks: int
    local: tuple[int, ...]
    """Shape of each rank's tensor."""
    uses: int = 0
    """Which: rank 0, or where the ranks do not agree, the one that is farthest from the expected tensor, so
    that no difference is hidden."""

    is_identity = False

    @property
    def shape(self) -> tuple[int, ...]:
        """As `Combination.shape`."""
        return self.local

    def apply(self, tensors: Sequence[Tensor]) -> Tensor:
        """As `Layout.apply`: that rank's tensor itself."""
        _check(tensors, (self.local,) * self.ranks)
        return tensors[self.uses]

    def locate_ranks(self, positions: Positions) -> list[tuple[Positions, Positions]]:
        """As `Combination.locate_ranks`."""
        return [(np.full_like(positions, self.uses), positions)]

    def describe(self) -> str:
        """As `Layout.describe`."""
        which = "" if self.uses == 0 else f", measured on rank {self.uses}"
        return f"replicated on {self.ranks} ranks{which}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialSum:
    """Every rank holds a summand of the whole."""

    ranks: int
    local: tuple[int, ...]
    """Shape of each rank's tensor."""

    is_identity = False

    @property
    def shape(self) -> tuple[int, ...]:
        """As `Combination.shape`."""
        return self.local

    def apply(self, tensors: Sequence[Tensor]) -> Tensor:
        """As `Layout.apply`: the sum, added in float32 or wider and rounded once to the ranks' dtype, as a
        reduction in a wider type would; integers in theirs."""
        _check(tensors, (self.local,) * self.ranks)
        dtype = tensors[0].dtype
        wide = torch.float32 if dtype.is_floating_point and dtype.itemsize < 4 else dtype
        total = tensors[0].to(wide, copy=True)
        for tensor in tensors[1:]:
            total += tensor.to(wide)
        return total.to(dtype)

    def locate_ranks(self, positions: Positions) -> list[tuple[Positions, Positions]]:
        """As `Combination.locate_ranks`."""
        return [(np.full_like(positions, rank), positions) for rank in range(self.ranks)]

    def describe(self) -> str:
        """As `Layout.describe`."""
        return f"sum of {self.ranks} ranks"


def _check(tensors: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> None:
    found = tuple(tuple(tensor.shape) for tensor in tensors)
    if found != tuple(shapes):
        raise InputError(
            f"a layout for tensors of shapes {', '.join(str(list(shape)) for shape in shapes)} was given "
            f"{', '.join(str(list(shape)) for shape in found)}",
            hint="layouts hold for the shapes that they were found for",
        )
