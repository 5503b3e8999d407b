"""Which part of a tensor is looked at."""

__all__ = ["MOST_CELLS", "Spec"]

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from outgrow.errors import InputError

MOST_CELLS = 10_000
"""Numbers that are shown as text at a time."""
_MOST_DIMS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A window of a tensor: a rectangle of a slice through two of its dims, or a piece of a line."""

    fixed: tuple[int, ...]
    """An index for each dim, also for those that are shown, where it does not count."""
    rows: int | None = None
    """The dim that runs downwards; None for a line."""
    columns: int | None = None
    """The dim that runs to the right; None for a single number."""
    row0: int = 0
    """The first row of the window."""
    column0: int = 0
    """Its first column."""
    height: int | None = None
    """Rows of the window at most; None for all that follow."""
    width: int | None = None
    """Columns of the window at most."""
    flat: bool = False
    """The whole tensor as one line in row-major order; `fixed`, `rows` and `columns` do not count then."""
    fold: int = 0
    """How many numbers of a line stand in a row; 0 where it is not folded."""
    rank: int = 0
    """Which rank's tensor, where each rank holds its own and they are not laid out as one."""

    def __post_init__(self) -> None:
        _check_index("fixed", self.fixed)
        for name in ("rows", "columns", "row0", "column0", "height", "width", "fold", "rank"):
            value = getattr(self, name)
            if value is None and name in ("rows", "columns", "height", "width"):
                continue
            if not _is_whole(value) or value < 0:
                raise InputError(f"{name} is {_shown(value)}", hint="it is a whole number from 0 on")
        if not isinstance(self.flat, bool):
            raise InputError(f"flat is {_shown(self.flat)}", hint="it is true or false")
        if not self.flat:
            self._check_dims()

    def _check_dims(self) -> None:
        if self.rows is None:
            return
        if self.columns is None:
            raise InputError(
                f"rows is dim {self.rows}, but columns is none", hint="a line runs along columns"
            )
        if self.rows == self.columns:
            raise InputError(f"rows and columns are both dim {self.rows}", hint="show two different dims")
        if self.fold:
            raise InputError(
                f"fold is {self.fold}, but dims {self.rows} and {self.columns} are shown",
                hint="only a line is folded: give columns alone, or flat",
            )

    @classmethod
    def parse(cls, value: object) -> "Spec":
        """What a page sent, read from JSON; what it left out is as in the fields.

        Raises:
            InputError: it is no object, holds something unknown, or a value is of another type.
        """
        if not isinstance(value, Mapping):
            raise InputError(f"a window is {_shown(value)}", hint="it is an object with 'fixed' and so on")
        known = [field.name for field in fields(cls)]
        for key in value:
            if key not in known:
                raise InputError(f"a window has {_shown(key)}", hint=f"it may have {', '.join(known)}")
        fixed = value.get("fixed")
        if not isinstance(fixed, list):
            raise InputError(f"fixed is {_shown(fixed)}", hint="it is a list with an index for each dim")
        return cls(**{**value, "fixed": tuple(fixed)})

    @classmethod
    def of_shape(cls, shape: Sequence[int]) -> "Spec":
        """The last two dims of a tensor, from the first number on."""
        dims = len(shape)
        return cls(
            fixed=(0,) * dims,
            rows=dims - 2 if dims > 1 else None,
            columns=dims - 1 if dims else None,
        )

    def turned(self) -> "Spec":
        """The same window with its rows as columns."""
        return replace(
            self,
            rows=self.columns,
            columns=self.rows,
            row0=self.column0,
            column0=self.row0,
            height=self.width,
            width=self.height,
        )

    def check(self, shape: Sequence[int]) -> None:
        """Whether it fits a tensor of that shape.

        Raises:
            InputError: it has other dims, or begins outside.
        """
        if not self.flat:
            self._check_fits(shape)
        rows, columns = self.plane(shape)
        _check_start("row0", self.row0, rows)
        _check_start("column0", self.column0, columns)

    def _check_fits(self, shape: Sequence[int]) -> None:
        if len(self.fixed) != len(shape):
            raise InputError(
                f"fixed has {len(self.fixed)} indices, but the shape {list(shape)} has {len(shape)} dims",
                hint="give an index for each dim, also for those that are shown",
            )
        for dim, (index, size) in enumerate(zip(self.fixed, shape, strict=True)):
            if index >= max(1, size) and dim not in (self.rows, self.columns):
                raise InputError(
                    f"the index of dim {dim} is {index}, but the shape is {list(shape)}",
                    hint=f"it is 0 to {max(0, size - 1)}",
                )
        for name, shown in (("rows", self.rows), ("columns", self.columns)):
            if shown is not None and shown >= len(shape):
                raise InputError(
                    f"{name} is dim {shown}, but the shape is {list(shape)}",
                    hint=f"dims are 0 to {len(shape) - 1}" if shape else "a single number has no dims",
                )

    def plane(self, shape: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of all that the window is cut from."""
        if self.flat:
            length = math.prod(shape)
        else:
            shown = (self.rows, self.columns)
            if 0 in (size for dim, size in enumerate(shape) if dim not in shown):
                return 0, 0
            length = 1 if self.columns is None else shape[self.columns]
            if self.rows is not None:
                return shape[self.rows], length
        if not self.fold:
            return min(1, length), length
        return -(-length // self.fold), min(length, self.fold)


def _check_start(name: str, start: int, size: int) -> None:
    if start > size:
        raise InputError(f"{name} is {start}, but there are {size}", hint="begin within the tensor")


def _check_index(name: str, index: object) -> None:
    if not isinstance(index, tuple) or not all(_is_whole(place) and place >= 0 for place in index):
        raise InputError(f"{name} is {_shown(index)}", hint="it is a list of whole numbers from 0 on")
    if len(index) > _MOST_DIMS:
        raise InputError(f"{name} has {len(index)} indices", hint=f"a tensor has at most {_MOST_DIMS} dims")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: object) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else text[:77] + "..."
