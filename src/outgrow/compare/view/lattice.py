"""The tensors of a side, laid out as one without moving a number."""

__all__ = ["Lattice", "find_lattice", "summed"]

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from outgrow.compare.layout import (
    Chain,
    Concatenate,
    Layout,
    PartialSum,
    Rearrange,
    Replicated,
    Sections,
    Stack,
)
from outgrow.compare.layout.parts import Part, Repeat
from outgrow.compare.view.factors import Factor, Group, boxes, merged, refined, strided


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """Stored tensors, one for each rank, and where in them the numbers of the whole stand."""

    tensors: tuple[Tensor, ...]
    """All of one shape, dtype and strides."""
    dims: tuple[Group, ...]
    """Of the whole."""
    offset: int = 0
    """Of its first number in a stored tensor, in elements from that tensor's first."""
    rank: int = 0
    """Where no factor runs over the ranks: whose tensor it is."""
    is_sum: bool = False
    """Whether the numbers of all ranks are added up."""

    def within(self, fixed: Sequence[int | None]) -> "Lattice":
        """Only what has these indices in the dims; those with None stay."""
        offset, rank = self.offset, self.rank
        left = []
        for index, group in zip(fixed, self.dims, strict=True):
            if index is None:
                left.append(group)
                continue
            rest = index
            for factor in reversed(group):
                rest, digit = divmod(rest, factor.size)
                if factor.is_ranks:
                    rank += digit * factor.stride
                else:
                    offset += digit * factor.stride
        return replace(self, dims=tuple(left), offset=offset, rank=rank)

    def plane(self, rows: Group, columns: Group) -> Tensor | None:
        """`[rows, columns]` from its offset on, as a view; None where that has to be copied."""
        rows, columns = merged(rows), merged(columns)
        factors = (*rows, *columns)
        if self.is_sum or max(len(rows), len(columns)) > 1 or any(factor.is_ranks for factor in factors):
            return None
        size = [math.prod(factor.size for factor in group) for group in (rows, columns)]
        stride = [rows[0].stride if rows else 0, columns[0].stride if columns else 1]
        return self._view(self.rank, size, stride, self.offset)

    def block(self, rows: Group, columns: Group, row0: int, height: int, column0: int, width: int) -> Tensor:
        """`[height, width]` of `[rows, columns]`: a view where that is possible."""
        whole = self.plane(rows, columns)
        if whole is not None:
            return whole[row0 : row0 + height, column0 : column0 + width]
        rows, columns = merged(rows), merged(columns)
        found = torch.empty((height, width), dtype=self.tensors[0].dtype)
        row = 0
        for down in boxes([factor.size for factor in rows], row0, row0 + height):
            count, column = _count(down), 0
            for across in boxes([factor.size for factor in columns], column0, column0 + width):
                following = column + _count(across)
                self._copy(found[row : row + count, column:following], (*rows, *columns), (*down, *across))
                column = following
            row += count
        return found

    def _copy(self, target: Tensor, factors: Sequence[Factor], box: Sequence[tuple[int, int]]) -> None:
        """The numbers of a box to `target`, `[height, width]`."""
        sizes = [stop - start for start, stop in box]
        part = target.view(sizes)
        ranks = [dim for dim, factor in enumerate(factors) if factor.is_ranks]
        stored = [dim for dim, factor in enumerate(factors) if not factor.is_ranks]
        offset = self.offset + sum(box[dim][0] * factors[dim].stride for dim in stored)
        size, stride = [sizes[dim] for dim in stored], [factors[dim].stride for dim in stored]
        if self.is_sum:
            part.copy_(summed([self._view(rank, size, stride, offset) for rank in range(len(self.tensors))]))
            return
        part = part.permute(*ranks, *stored)
        for places in itertools.product(*(range(sizes[dim]) for dim in ranks)):
            digits = (
                (box[dim][0] + place) * factors[dim].stride for dim, place in zip(ranks, places, strict=True)
            )
            part[places].copy_(self._view(self.rank + sum(digits), size, stride, offset))

    def _view(self, rank: int, size: Sequence[int], stride: Sequence[int], offset: int) -> Tensor:
        tensor = self.tensors[rank]
        return tensor.as_strided(size, stride, tensor.storage_offset() + offset)


def find_lattice(layout: Layout, tensors: Sequence[Tensor]) -> Lattice | None:
    """What `layout.apply` would make; None where only copying can: ranks of different sizes, sections that
    are not equal, a layout of somebody else's."""
    steps = layout.layouts if isinstance(layout, Chain) else (layout,)
    if any(0 in tensor.shape for tensor in tensors):
        return None
    first = tensors[0]
    if any((t.shape, t.dtype, t.stride()) != (first.shape, first.dtype, first.stride()) for t in tensors):
        return None
    found: Lattice | None = Lattice(tensors=tuple(tensors), dims=strided(first))
    for step in steps:
        if found is None:
            return None
        found = _after(found, step)
    return found


def _after(lattice: Lattice, step: Layout) -> Lattice | None:
    dims = lattice.dims
    if step.is_identity:
        return lattice
    if isinstance(step, Rearrange):
        atoms = refined(dims, step.atoms)
        moved = None if atoms is None else refined([atoms[place] for place in step.order], step.shape)
        return None if moved is None else replace(lattice, dims=moved)
    if isinstance(step, Part):
        return _part(lattice, step)
    if isinstance(step, Repeat):
        count = step.source[step.dim] // step.block
        cut = refined([dims[step.dim]], (count, step.block))
        if cut is None:
            return None
        group = (*cut[0], Factor(step.times, 0), *cut[1])
        return replace(lattice, dims=(*dims[: step.dim], group, *dims[step.dim + 1 :]))
    ranks = Factor(len(lattice.tensors), 1, True)
    if isinstance(step, Replicated):
        return replace(lattice, rank=step.uses)
    if isinstance(step, PartialSum):
        return replace(lattice, is_sum=True)
    if isinstance(step, Stack):
        return replace(lattice, dims=((ranks,), *dims))
    if isinstance(step, Concatenate):
        return replace(lattice, dims=(*dims[: step.dim], (ranks, *dims[step.dim]), *dims[step.dim + 1 :]))
    if isinstance(step, Sections) and len(set(step.sizes)) == 1:
        cut = refined([dims[step.dim]], (len(step.sizes), step.sizes[0]))
        if cut is None:
            return None
        group = (*cut[0], ranks, *cut[1])
        return replace(lattice, dims=(*dims[: step.dim], group, *dims[step.dim + 1 :]))
    return None


def _part(lattice: Lattice, step: Part) -> Lattice | None:
    dims = lattice.dims
    run = step.source[step.dim] // step.groups
    cut = refined([dims[step.dim]], (step.groups, run))
    if cut is None:
        return None
    # Whole entries of the outermost factor of a run; of a single one any entries.
    inside = merged(cut[1])
    if not inside:
        return lattice
    outer, inner = inside[0], math.prod(factor.size for factor in inside[1:])
    if outer.is_ranks or step.start % inner or step.size % inner:
        return None
    group = (*cut[0], outer._replace(size=step.size // inner), *inside[1:])
    return replace(
        lattice,
        dims=(*dims[: step.dim], group, *dims[step.dim + 1 :]),
        offset=lattice.offset + step.start // inner * outer.stride,
    )


def _count(box: Sequence[tuple[int, int]]) -> int:
    return math.prod(stop - start for start, stop in box)


def summed(parts: Sequence[Tensor]) -> Tensor:
    """The numbers of all ranks, added as a layout adds them."""
    return PartialSum(ranks=len(parts), local=tuple(parts[0].shape)).apply(parts)
