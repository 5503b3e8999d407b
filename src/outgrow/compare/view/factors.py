"""Dims taken apart into factors with strides: what a layout does without moving a number."""

__all__ = ["Factor", "Group", "boxes", "merged", "refined", "strided"]

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import Tensor


class Factor(NamedTuple):
    """A part of a dim, as `[4, 8]` are of a dim of 32 numbers."""

    size: int
    stride: int
    """From one of its entries to the next, in elements of the stored tensor; of the ranks' own factor 1, from
    one rank to the next."""
    is_ranks: bool = False
    """Whether its entries are ranks, not places in a tensor."""


Group = tuple[Factor, ...]
"""The factors of a dim, outermost first; none of a dim of size 1."""


def strided(tensor: Tensor) -> tuple[Group, ...]:
    """The dims of a tensor as it lies in memory."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return tuple((Factor(size, stride),) if size != 1 else () for size, stride in sizes)


def refined(groups: Sequence[Group], sizes: Sequence[int]) -> tuple[Group, ...] | None:
    """The same numbers in the same order as dims of other sizes; None where a factor would have to be cut in
    pieces that are none. The sizes must multiply to as many elements, and none be 0."""
    left = [*merged([factor for group in groups for factor in group])]
    found: list[Group] = []
    for size in reversed(sizes):
        group: list[Factor] = []
        wanted = size
        while wanted > 1:
            factor = left.pop()
            if wanted % factor.size == 0:
                group.append(factor)
                wanted //= factor.size
            elif factor.size % wanted == 0:
                group.append(factor._replace(size=wanted))
                left.append(factor._replace(size=factor.size // wanted, stride=factor.stride * wanted))
                wanted = 1
            else:
                return None
        found.append(tuple(reversed(group)))
    return tuple(reversed(found))


def merged(group: Sequence[Factor]) -> Group:
    """As few factors as say the same."""
    found: list[Factor] = []
    for factor in group:
        if factor.size == 1:
            continue
        last = found[-1] if found else None
        if (
            last is not None
            and last.is_ranks == factor.is_ranks
            and last.stride == factor.stride * factor.size
        ):
            found[-1] = factor._replace(size=last.size * factor.size)
        else:
            found.append(factor)
    return tuple(found)


def boxes(sizes: Sequence[int], start: int, stop: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """The places `start` to `stop`, counted in row-major order, as boxes: a range for each dim. In order, and
    at most twice as many as dims."""
    if start >= stop:
        return
    if not sizes:
        yield ()
        return
    rest = sizes[1:]
    inner = math.prod(rest)
    (first, head), (last, tail) = divmod(start, inner), divmod(stop, inner)
    if first == last:
        yield from (((first, first + 1), *box) for box in boxes(rest, head, tail))
        return
    if head:
        yield from (((first, first + 1), *box) for box in boxes(rest, head, inner))
        first += 1
    if first < last:
        yield ((first, last), *((0, size) for size in rest))
    yield from (((last, last + 1), *box) for box in boxes(rest, 0, tail))
