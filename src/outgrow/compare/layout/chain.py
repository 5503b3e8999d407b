"""Layouts one after the other."""

__all__ = ["Chain", "chain", "located", "split_chain"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from outgrow.compare.layout.layout import Identity, Layout, Positions
from outgrow.errors import InputError


@dataclass(frozen=True, slots=True)
class Chain:
    """The first layout takes the tensors of all ranks, each other one what the one before it gave."""

    layouts: tuple[Layout, ...]

    @property
    def is_identity(self) -> bool:
        """As `Layout.is_identity`."""
        return all(layout.is_identity for layout in self.layouts)

    def apply(self, tensors: Sequence[Tensor]) -> Tensor:
        """As `Layout.apply`."""
        for layout in self.layouts:
            tensors = [layout.apply(tensors)]
        (tensor,) = tensors
        return tensor

    def describe(self) -> str:
        """As `Layout.describe`."""
        return "; ".join(layout.describe() for layout in self.layouts)


def chain(*layouts: Layout) -> Layout:
    """As few layouts as say the same: no identity in between, no chain in a chain."""
    flat: list[Layout] = []
    for layout in layouts:
        flat.extend(layout.layouts if isinstance(layout, Chain) else [layout])
    real = tuple(layout for layout in flat if not layout.is_identity)
    if not real:
        return Identity()
    return real[0] if len(real) == 1 else Chain(real)


def split_chain(layout: Layout) -> tuple[Layout, Layout]:
    """The first layout, which takes the ranks' tensors, and all others as one."""
    if isinstance(layout, Chain):
        return layout.layouts[0], chain(*layout.layouts[1:])
    return layout, Identity()


def located(layout: Layout, positions: Positions) -> list[tuple[Positions, Positions]]:
    """For the numbers at `positions` of the result: from which rank and where in its tensor they come; one
    entry for each summand.

    Raises:
        InputError: a layout of somebody else's, which cannot say.
    """
    for part in reversed(layout.layouts if isinstance(layout, Chain) else (layout,)):
        # Asked by name: an instance check against a protocol takes longer than the whole search of a place.
        if (locate_ranks := getattr(part, "locate_ranks", None)) is not None:
            found: list[tuple[Positions, Positions]] = locate_ranks(positions)
            return found
        if (locate := getattr(part, "locate", None)) is None:
            raise InputError(
                f"the layout {part.describe()!r} cannot say where its numbers come from",
                hint="give it a method `locate`, as outgrow.compare.layout.Step describes",
            )
        positions = locate(positions)
    return [(np.zeros_like(positions), positions)]
