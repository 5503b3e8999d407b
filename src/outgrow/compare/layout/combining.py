"""The levels of layouts to try for one pair of shapes."""

__all__ = ["concatenations", "joined", "one_tensor"]

import itertools
import math
from collections.abc import Iterator, Sequence

from outgrow.compare.layout.candidates import Candidate, find_candidates, raw_reshape
from outgrow.compare.layout.chain import chain
from outgrow.compare.layout.layout import Identity, Layout
from outgrow.compare.layout.ranks import Concatenate, Stack
from outgrow.compare.layout.rearrange import Rearrange, squeezed
from outgrow.compare.layout.search import Option

_LIMIT = 400


def one_tensor(
    source: Sequence[int], target: Sequence[int], *, before: Layout | None = None
) -> Iterator[list[Option]]:
    """Layouts of a tensor of one shape to another; `before` makes that tensor."""
    first = before or Identity()
    if squeezed(source) == squeezed(target) or 0 in source:
        # Equal shapes are never permuted; in empty ones there is nothing to permute.
        rearrange = Rearrange(
            source=tuple(source), atoms=tuple(source), order=tuple(range(len(source))), shape=tuple(target)
        )
        yield [Option(layout=chain(first, rearrange), digits=rearrange.digits)]
        return
    seen = False
    for level in find_candidates(source, target, limit=_LIMIT):
        yield [Option.of(candidate, lambda found: chain(first, found.rearrange)) for candidate in level]
        seen = seen or any(candidate.moves == 0 for candidate in level)
    if not seen:
        yield [Option.of(raw_reshape(source, target), lambda found: chain(first, found.rearrange))]


def concatenations(shapes: Sequence[tuple[int, ...]], target: Sequence[int]) -> Iterator[list[Option]]:
    """Layouts that put the ranks' tensors side by side, each number used once."""
    first = shapes[0]
    if len(set(shapes)) > 1:
        for dim in range(len(first)):
            if len({(len(shape), shape[:dim], shape[dim + 1 :]) for shape in shapes}) == 1:
                combined = Concatenate(dim=dim, shapes=tuple(shapes))
                yield from one_tensor(combined.shape, target, before=combined)
        return
    straight = []
    for dim in range(len(first)):
        combined = Concatenate(dim=dim, shapes=tuple(shapes))
        if squeezed(combined.shape) == squeezed(target):
            (options,) = one_tensor(combined.shape, target, before=combined)
            straight.extend(options)
    stack = Stack(ranks=len(shapes), local=first)
    if straight:
        # Not permuted either, but for the ranks' place within their axis.
        yield straight
        yield [
            Option.of(candidate, lambda found: joined(stack, found))
            for candidate in _nested(stack, tuple(target), straight)
        ]
        return
    for level in find_candidates(stack.shape, target, has_ranks=True, limit=_LIMIT):
        yield [Option.of(candidate, lambda found: joined(stack, found)) for candidate in level]


def joined(stack: Stack, candidate: Candidate) -> Layout:
    """As a concatenation along a dim where it is one: easier to read, and one copy less."""
    found = candidate.rearrange
    sizes, order = list(found.atoms), list(found.order)
    real = [atom for atom in order if sizes[atom] > 1]
    if sizes[0] == stack.ranks and real and real[0] is not None:
        place = real.index(0) if 0 in real else -1
        if 0 <= place < len(real) - 1:
            dim = _dim_that_begins_with(real[place + 1], sizes, stack.local)
            if dim is not None:
                combined = Concatenate(dim=dim, shapes=(stack.local,) * stack.ranks)
                sizes[real[place + 1]] *= stack.ranks
                rest = Rearrange(
                    source=combined.shape,
                    atoms=tuple(sizes[1:]),
                    order=tuple(atom - 1 for atom in order if atom != 0),
                    shape=found.shape,
                )
                return chain(combined, rest)
    return chain(stack, found)


def _dim_that_begins_with(atom: int, sizes: Sequence[int], local: Sequence[int]) -> int | None:
    """The dim of the ranks' tensors whose outermost factor is that atom; atom 0 is the ranks themselves."""
    before, outer = math.prod(sizes[1:atom]), 1
    for dim, size in enumerate(local):
        if outer == before and size > 1:
            return dim if size % sizes[atom] == 0 else None
        outer *= size
    return None


def _nested(stack: Stack, target: tuple[int, ...], straight: Sequence[Option]) -> Iterator[Candidate]:
    """Ranks that hold a piece of every section of an axis, as tensor parallelism does with fused weights."""
    for dim, size in enumerate(stack.local):
        whole = (*stack.local[:dim], size * stack.ranks, *stack.local[dim + 1 :])
        if squeezed(whole) != squeezed(target):
            continue
        for sections in itertools.islice((n for n in range(2, size + 1) if size % n == 0), 24):
            parts = (stack.ranks, *stack.local[:dim], sections, size // sections, *stack.local[dim + 1 :])
            order = (*range(1, dim + 2), 0, *range(dim + 2, len(parts)))
            yield Candidate(
                rearrange=Rearrange(source=stack.shape, atoms=parts, order=order, shape=target),
                level=1,
                moves=dim + 1,
                is_usual=False,
            )
