"""One side of a pair, as it is looked at: as it was stored, or laid out as its counterpart."""

__all__ = ["Side", "aligned_sides", "own_side"]

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from outgrow.capture.recording import Record
from outgrow.compare.finding import Finding
from outgrow.compare.layout import Identity, Layout
from outgrow.compare.layout.chain import located
from outgrow.compare.layout.layout import Positions
from outgrow.compare.readers.dtypes import DTYPES
from outgrow.compare.view.lattice import Lattice, find_lattice, summed
from outgrow.compare.view.outcome import foresee
from outgrow.compare.view.place import Place
from outgrow.errors import InputError

_SMALL_BYTES = 1 << 26
"""Up to here a layout that has to copy is applied as a whole: some ten milliseconds."""


class Side:
    """A tensor of `shape` and `dtype` whose numbers are fetched when they are looked at. What a layout would
    have to copy is copied only where it is looked at."""

    def __init__(self, tensors: Sequence[Tensor], layout: Layout | None = None) -> None:
        """The stored tensors, one for each rank, and how they make one.

        Raises:
            InputError: a tensor holds numbers of a dtype that cannot be shown, or the layout does not fit.
        """
        for tensor in tensors:
            if tensor.dtype not in DTYPES.values() or tensor.layout is not torch.strided or tensor.is_meta:
                raise InputError(
                    f"numbers of {tensor.dtype}, {tensor.layout}, on {tensor.device} cannot be shown",
                    hint="give a dense tensor of a dtype that can be compared",
                )
        plain = (tensor.detach().cpu().resolve_conj().resolve_neg() for tensor in tensors)
        self.tensors = tuple(plain)
        self.layout = layout or Identity()
        outcome = foresee(self.layout, self.tensors)
        self.shape, self.dtype = outcome.shape, outcome.dtype

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @cached_property
    def lattice(self) -> Lattice | None:
        """Where its numbers stand; None where only asking for each says so."""
        found = find_lattice(self.layout, self.tensors)
        if found is not None or 0 in self.shape:
            return found
        if self.elements * self.dtype.itemsize <= _SMALL_BYTES or not self._can_pick:
            return find_lattice(Identity(), [self._applied])
        return None

    def take(self, positions: Positions) -> Tensor:
        """`[places]`: the numbers at these places of the whole, which count in row-major order."""
        flat = positions.reshape(-1)
        if not self._can_pick:
            return _pick(self._applied, flat)
        parts = [self._pick(ranks, places) for ranks, places in located(self.layout, flat)]
        return parts[0] if len(parts) == 1 else summed(parts)

    def place(self, positions: Positions) -> Place:
        """Where the numbers at these places stand in the stored tensors."""
        flat = positions.reshape(-1)
        if not self._can_locate:
            raise InputError(
                f"the layout {self.layout.describe()!r} cannot say where its numbers come from",
                hint="look at the tensor as it was stored",
            )
        found = located(self.layout, flat)
        return Place(
            ranks=found[0][0],
            positions=found[0][1],
            shapes=tuple(tuple(tensor.shape) for tensor in self.tensors),
            summands=len(found),
        )

    @cached_property
    def _applied(self) -> Tensor:
        return self.layout.apply(self.tensors)

    @cached_property
    def _can_locate(self) -> bool:
        try:
            located(self.layout, np.zeros(0, dtype=np.int64))
        except InputError:
            return False
        return True

    @property
    def _can_pick(self) -> bool:
        """Whether numbers can be fetched one by one: those of ranks that differ in dtype are put together by
        the layout alone."""
        return self._can_locate and len({tensor.dtype for tensor in self.tensors}) == 1

    def _pick(self, ranks: Positions, places: Positions) -> Tensor:
        if len(self.tensors) == 1:
            return _pick(self.tensors[0], places)
        dtype = self.tensors[0].dtype
        found = torch.empty(len(places), dtype=_INTEGERS.get(dtype, dtype))
        for rank, tensor in enumerate(self.tensors):
            own = np.flatnonzero(ranks == rank)
            if len(own):
                found[torch.from_numpy(own)] = _pick(tensor, places[own]).view(found.dtype)
        return found.view(dtype)


def own_side(record: Record) -> Side:
    """A tensor as it was stored.

    Raises:
        StoreError: the bytes cannot be read.
    """
    return Side([_read(record)])


def aligned_sides(finding: Finding) -> tuple[Side, Side]:
    """The expected tensor and the actual one of a pair, in that order, both of one shape.

    Raises:
        InputError: no layout was found for this pair.
        StoreError: the bytes cannot be read.
    """
    layout = finding.layout
    if layout.layout is None:
        raise InputError(
            f"{finding.pair.expected_name!r} cannot be laid out like its counterpart: {layout.reason}",
            hint="look at each side in its own shape, or map the dims by hand",
        )
    expected = Side([_read(finding.pair.expected)], layout.expected_layout)
    return expected, Side([_read(record) for record in finding.pair.actual], layout.layout)


def _read(record: Record) -> Tensor:
    tensor = record.read()
    if tuple(tensor.shape) != record.shape or tensor.dtype != record.dtype:
        raise InputError(
            f"{record.name!r} was {record.dtype} {list(record.shape)}, and now is {tensor.dtype} "
            f"{list(tensor.shape)}",
            hint="its file was changed meanwhile: compare again",
        )
    return tensor


def _pick(tensor: Tensor, places: Positions) -> Tensor:
    """Elements one by one, so that a tensor in any order of memory is not copied."""
    codes = _INTEGERS.get(tensor.dtype)
    plain = tensor if codes is None else tensor.view(codes)
    if plain.is_contiguous():
        found = plain.view(-1)[torch.from_numpy(places)]
    else:
        axes = np.unravel_index(places, plain.shape)
        found = plain[tuple(torch.from_numpy(np.asarray(axis)) for axis in axes)]
    return found if codes is None else found.view(tensor.dtype)


_INTEGERS = {
    dtype: torch.uint8 if dtype.itemsize == 1 else torch.int16
    for name, dtype in DTYPES.items()
    if name.startswith(("float8", "bfloat16"))
} | {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}
"""What torch indexes in place of dtypes that it does not."""
