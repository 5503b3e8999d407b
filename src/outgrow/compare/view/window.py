"""A window of a side: its rows of numbers, none copied that need not be."""

__all__ = ["Window"]

import math
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from outgrow.compare.layout.layout import Positions
from outgrow.compare.view.factors import Group
from outgrow.compare.view.lattice import Lattice
from outgrow.compare.view.side import Side
from outgrow.compare.view.spec import Spec


class Window:
    """Rows and columns that a Spec cuts from a side. Where a line is folded, the last row may be shorter than
    the others; its missing cells are at the end."""

    def __init__(self, side: Side, spec: Spec) -> None:
        """Find out what the window shows; nothing is read yet.

        Raises:
            InputError: the Spec does not fit the shape.
        """
        spec.check(side.shape)
        self.side = side
        self.spec = spec
        self.rows, self.columns = spec.plane(side.shape)
        """Of all that the window is cut from."""
        self.height = _clipped(self.rows - spec.row0, spec.height)
        self.width = _clipped(self.columns - spec.column0, spec.width)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see."""
        return not self.height or not self.width

    @property
    def rest(self) -> int:
        """Cells of the last row; as many as in the others but where a folded line ends."""
        if not self.spec.fold or not self.height:
            return self.width
        last = self._line - (self.spec.row0 + self.height - 1) * self.spec.fold
        return max(0, min(self.width, last - self.spec.column0))

    def positions(self, start: int = 0, stop: int | None = None) -> Positions:
        """`[rows, width]`, of all rows or of some: which number of the side stands there, which count in
        row-major order; -1 where there is none."""
        spec, shape = self.spec, self.side.shape
        strides = [math.prod(shape[dim + 1 :]) for dim in range(len(shape))]
        last = self.height if stop is None else stop
        rows = np.arange(spec.row0 + start, spec.row0 + last, dtype=np.int64)[:, None]
        columns = np.arange(spec.column0, spec.column0 + self.width, dtype=np.int64)[None, :]
        if spec.flat:
            first, along = 0, 1
        else:
            others = (dim for dim in range(len(shape)) if dim not in (spec.rows, spec.columns))
            first = sum(spec.fixed[dim] * strides[dim] for dim in others)
            along = 1 if spec.columns is None else strides[spec.columns]
            if spec.rows is not None:
                found: Positions = first + rows * strides[spec.rows] + columns * along
                return found
        places = rows * self.columns + columns
        found = first + places * along
        return np.where(places < self._line, found, -1) if spec.fold else found

    def block(self, row: int, height: int, column: int, width: int) -> Tensor:
        """`[height, width]` from that row and column of the window on, none of them missing: a view where
        possible."""
        spec, lattice = self.spec, self._lattice
        if lattice is None:
            places = self.positions(row, row + height)[:, column : column + width]
            return self.side.take(places).view(places.shape)
        row, column = spec.row0 + row, spec.column0 + column
        if spec.fold:
            return self._folded(lattice, row, height, column, width)
        return lattice.block(*self._groups, row, height, column, width)

    def _folded(self, lattice: Lattice, row: int, height: int, column: int, width: int) -> Tensor:
        """A block of the folded line, counted from the line's first number."""
        fold, line = self.spec.fold, self._groups[1]
        if height == 1:
            return lattice.block((), line, 0, 1, row * fold + column, width)
        if (row + height) * fold > self._line:
            # The line ends in the last row, to the right of the window.
            parts = (row, height - 1), (row + height - 1, 1)
            return torch.cat([self._folded(lattice, *part, column, width) for part in parts])
        rows = lattice.block((), line, 0, 1, row * fold, height * fold).view(height, fold)
        return rows[:, column : column + width]

    @property
    def can_turn(self) -> bool:
        """Whether rows and columns can change places."""
        return not self.spec.flat and self.spec.rows is not None

    @property
    def is_turned(self) -> bool:
        """Whether numbers below each other lie closer in memory than those beside each other."""
        if self.is_empty or self._lattice is None:
            return False
        rows, columns = self._groups
        return self.can_turn and bool(rows) and bool(columns) and rows[-1].stride < columns[-1].stride

    @cached_property
    def _lattice(self) -> Lattice | None:
        """Of what is shown, without the dims that are fixed."""
        spec, lattice = self.spec, self.side.lattice
        if lattice is None or spec.flat:
            return lattice
        shown = (spec.rows, spec.columns)
        return lattice.within([None if dim in shown else index for dim, index in enumerate(spec.fixed)])

    @cached_property
    def _groups(self) -> tuple[Group, Group]:
        """The factors that run downwards and to the right."""
        spec, lattice = self.spec, self._lattice
        dims = () if lattice is None else lattice.dims
        if not spec.flat and spec.rows is not None and spec.columns is not None:
            return (dims[0], dims[1]) if spec.rows < spec.columns else (dims[1], dims[0])
        return (), tuple(factor for group in dims for factor in group)

    @cached_property
    def _line(self) -> int:
        """Numbers of the line, where it is one."""
        whole = Spec(fixed=self.spec.fixed, columns=self.spec.columns, flat=self.spec.flat)
        return whole.plane(self.side.shape)[1]


def _clipped(left: int, wanted: int | None) -> int:
    return left if wanted is None else min(left, wanted)
