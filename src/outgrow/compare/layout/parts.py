"""One part of a fused tensor, and numbers that one side holds several times."""

__all__ = ["Part", "Repeat"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from outgrow.compare.layout.layout import Positions
from outgrow.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a fused tensor: the query of a fused QKV, the gate of gate-up.

    Along `dim` there are `groups` runs, each with a piece of every part: one run where the parts are
    concatenated, one for each head, key-value head or rank where they are interleaved.
    """

    source: tuple[int, ...]
    """Shape that it takes."""
    dim: int
    groups: int
    start: int
    """Where the part begins in a run."""
    size: int
    """Entries of the part in a run."""
    name: str
    """Of the part."""

    is_identity = False

    def __post_init__(self) -> None:
        length = self.source[self.dim]
        if length % self.groups or not 0 <= self.start < self.start + self.size <= length // self.groups:
            raise InputError(
                f"dim {self.dim} of {list(self.source)} has no {self.groups} runs with a part "
                f"{self.start}:{self.start + self.size}",
                hint="the runs must divide the dim, and the part lie within one",
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        return (*self.source[: self.dim], self.groups * self.size, *self.source[self.dim + 1 :])

    def apply(self, tensors: Sequence[Tensor]) -> Tensor:
        """As `Layout.apply`: a view where there is one run."""
        (tensor,) = tensors
        if tuple(tensor.shape) != self.source:
            raise InputError(
                f"a part of {list(self.source)} was asked of a tensor of shape {list(tensor.shape)}",
                hint="layouts hold for the shapes that they were found for",
            )
        before, after = self.source[: self.dim], self.source[self.dim + 1 :]
        runs = tensor.reshape(*before, self.groups, self.source[self.dim] // self.groups, *after)
        return runs.narrow(self.dim + 1, self.start, self.size).reshape(self.shape)

    def locate(self, positions: Positions) -> Positions:
        """As `Step.locate`."""
        inner = math.prod(self.source[self.dim + 1 :])
        width = self.size * inner
        run = self.source[self.dim] // self.groups * inner
        # Runs follow each other without a gap, also from one outer index to the next.
        index = positions // width
        return positions + index * (run - width) + self.start * inner

    def describe(self) -> str:
        """As `Layout.describe`."""
        length = self.source[self.dim] // self.groups
        where = f"{self.start}:{self.start + self.size}"
        if self.groups == 1:
            return f"{self.name} at {where} of dim {self.dim}"
        return f"{self.name} at {where} of each {length} of {self.groups} along dim {self.dim}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Every block of a dim several times, one after the other: grouped key-value heads as full ones."""

    source: tuple[int, ...]
    """Shape that it takes."""
    dim: int
    block: int
    """Entries of the dim that are repeated together: of one head, or of all."""
    times: int

    is_identity = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        return (*self.source[: self.dim], self.source[self.dim] * self.times, *self.source[self.dim + 1 :])

    def apply(self, tensors: Sequence[Tensor]) -> Tensor:
        """As `Layout.apply`: a copy."""
        (tensor,) = tensors
        if tuple(tensor.shape) != self.source:
            raise InputError(
                f"a repetition of {list(self.source)} was given a tensor of shape {list(tensor.shape)}",
                hint="layouts hold for the shapes that they were found for",
            )
        before, after = self.source[: self.dim], self.source[self.dim + 1 :]
        count = self.source[self.dim] // self.block
        blocks = tensor.reshape(*before, count, 1, self.block, *after)
        return blocks.expand(*before, count, self.times, self.block, *after).reshape(self.shape)

    def locate(self, positions: Positions) -> Positions:
        """As `Step.locate`."""
        width = self.block * math.prod(self.source[self.dim + 1 :])
        outer = positions // (width * self.times)
        return outer * width + positions % width

    def describe(self) -> str:
        """As `Layout.describe`."""
        if self.block == self.source[self.dim]:
            return f"repeat dim {self.dim} {self.times} times"
        what = "entry" if self.block == 1 else f"{self.block} entries"
        return f"repeat each {what} of dim {self.dim} {self.times} times"
