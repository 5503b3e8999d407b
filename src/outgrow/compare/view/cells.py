"""The numbers of a window as text."""

__all__ = ["Cells", "read_cells"]

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from outgrow.compare.layout.layout import Positions
from outgrow.compare.view.number_text import texts, values
from outgrow.compare.view.plain import number_of
from outgrow.compare.view.side import Side
from outgrow.compare.view.spec import MOST_CELLS, Spec
from outgrow.compare.view.window import Window
from outgrow.errors import InputError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A rectangle of numbers, row by row; None where a folded line has ended."""

    height: int
    width: int
    rows: int
    """Of all that the window is cut from."""
    columns: int
    shape: tuple[int, ...]
    """Of the side as it is shown."""
    dtype: torch.dtype
    stored_shape: tuple[int, ...]
    """Of the stored tensor, in which `index` counts; with several ranks of the first rank's."""
    index: list[tuple[int, ...] | None]
    """Of each number in the stored tensor."""
    rank: list[int | None] | None
    """Whose tensor that is; None where there is one."""
    summands: int
    """Of how many ranks' numbers each is the sum; `index` is where they stand in each."""
    text: list[str | None]
    """The exact number as Python writes it."""
    value: list[float | int | None]
    """For colours: of complex numbers the modulus, of bools 0 and 1."""
    numbers: Tensor = field(repr=False, compare=False)
    """`[present]`: the numbers themselves, without a gap."""
    is_present: "np.ndarray[tuple[int, int], np.dtype[np.bool_]]" = field(repr=False, compare=False)
    """`[height, width]`."""

    def as_json(self) -> dict[str, object]:
        """What a page is given."""
        return {
            "height": self.height,
            "width": self.width,
            "rows": self.rows,
            "columns": self.columns,
            "shape": list(self.shape),
            "stored_shape": list(self.stored_shape),
            "dtype": str(self.dtype).removeprefix("torch."),
            "index": [None if index is None else ",".join(map(str, index)) for index in self.index],
            "rank": self.rank,
            "summands": self.summands,
            "text": self.text,
            "value": [number_of(value) for value in self.value],
        }


def read_cells(side: Side, spec: Spec) -> Cells:
    """The cells that a window shows.

    Raises:
        InputError: the Spec does not fit, or shows more than `MOST_CELLS`.
    """
    window = Window(side, spec)
    if window.height * window.width > MOST_CELLS:
        raise InputError(
            f"a window of {window.height} x {window.width} numbers is too large to be written out",
            hint=f"ask for at most {MOST_CELLS}: give height and width",
        )
    positions = window.positions()
    is_present = positions >= 0
    present: Positions = positions[is_present]
    numbers = side.take(present)
    place = side.place(present)
    order = np.where(is_present.reshape(-1), np.cumsum(is_present.reshape(-1)) - 1, -1).tolist()
    return Cells(
        height=window.height,
        width=window.width,
        rows=window.rows,
        columns=window.columns,
        shape=side.shape,
        dtype=side.dtype,
        stored_shape=tuple(side.tensors[0].shape),
        index=_spread(place.indices(), order),
        rank=_spread(place.ranks.tolist(), order) if len(side.tensors) > 1 else None,
        summands=place.summands,
        text=_spread(texts(numbers), order),
        value=_spread(values(numbers), order),
        numbers=numbers,
        is_present=is_present,
    )


def _spread(found: Sequence[_T], order: Sequence[int]) -> list[_T | None]:
    return [None if place < 0 else found[place] for place in order]
