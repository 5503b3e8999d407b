"""Which layouts lead from the shapes of the actual tensors to that of the expected one, simplest first."""

__all__ = ["concatenations", "one_tensor", "straight"]

import dataclasses
import math
from collections.abc import Iterator, Sequence

from outgrow.compare.layout.candidates import Candidate, divisors, find_candidates, raw_reshape
from outgrow.compare.layout.chain import chain, split_chain
from outgrow.compare.layout.layout import Identity, Layout
from outgrow.compare.layout.ranks import Concatenate, Sections, Stack
from outgrow.compare.layout.rearrange import Rearrange, squeezed
from outgrow.compare.layout.sides import Option

Shape = tuple[int, ...]
_LIMIT = 240
_MAX_SECTIONS = 24


def one_tensor(
    source: Shape, target: Shape, *, before: Layout | None = None, limit: int = _LIMIT
) -> Iterator[list[Option]]:
    """From a tensor of one shape to another with as many elements; `before` makes that tensor."""
    first = before or Identity()
    if squeezed(source) == squeezed(target) or 0 in source:
        # Equal shapes are never permuted; in empty ones there is nothing to permute.
        rearrange = Rearrange(
            source=source, atoms=source, order=tuple(range(len(source))), shape=target
        )  # fmt: skip
        yield [Option(layout=chain(first, rearrange), digits=rearrange.digits)]
        return
    seen = False
    for level in find_candidates(source, target, limit=limit):
        yield [Option.of(candidate, lambda found: chain(first, found.rearrange)) for candidate in level]
        seen = seen or any(candidate.moves == 0 for candidate in level)
    if not seen:
        yield [Option.of(raw_reshape(source, target), lambda found: chain(first, found.rearrange))]


def straight(shapes: Sequence[Shape]) -> list[tuple[Concatenate, Shape]]:
    """What the tensors of several ranks make along each dim in which they may be concatenated."""
    made: list[tuple[Concatenate, Shape]] = []
    for dim in range(len(shapes[0])):
        if len({(len(shape), shape[:dim], shape[dim + 1 :]) for shape in shapes}) == 1:
            combined = Concatenate(dim=dim, shapes=tuple(shapes))
            made.append((combined, combined.shape))
    return made


def concatenations(
    shapes: Sequence[Shape], target: Shape, *, is_fused: bool = False, limit: int = _LIMIT
) -> Iterator[list[Option]]:
    """From the tensors of several ranks, side by side, each number used once. `is_fused`: both runs hold
    several parts in one tensor, so that ranks with a piece of every part are as usual as any."""
    if len(set(shapes)) > 1:
        for combined, shape in straight(shapes):
            yield from one_tensor(shape, target, before=combined)
        return
    stack = Stack(ranks=len(shapes), local=shapes[0])
    fitting = _reshaped(
        [combined for combined, shape in straight(shapes) if squeezed(shape) == squeezed(target)], target
    )
    if not fitting:
        for level in find_candidates(stack.shape, target, has_ranks=True, limit=limit):
            yield [Option.of(candidate, lambda found: _joined(stack, found)) for candidate in level]
        return
    # No permutation here either, but for the place of the ranks within their axis.
    dims = {
        first.dim for option in fitting if isinstance(first := split_chain(option.layout)[0], Concatenate)
    }
    sections = _reshaped([part for dim in sorted(dims) for part in _sections(stack, dim)], target)
    if is_fused:
        yield [*fitting, *sections]
        return
    yield fitting
    yield _odd(sections)
    # Where sizes coincide, another dim may be meant.
    for level in find_candidates(stack.shape, target, has_ranks=True, max_level=0, limit=limit):
        options = [Option.of(candidate, lambda found: _joined(stack, found)) for candidate in level]
        yield _odd([option for option in options if not _is_along(option, dims)])


def _reshaped(combined: Sequence[Concatenate | Sections], target: Shape) -> list[Option]:
    return [
        option
        for before in combined
        for options in one_tensor(before.shape, target, before=before)
        for option in options
    ]


def _odd(options: Sequence[Option]) -> list[Option]:
    return [dataclasses.replace(option, is_usual=False) for option in options]


def _is_along(option: Option, dims: set[int]) -> bool:
    """Whether it concatenates along one of these dims: then the rest permutes equal shapes."""
    first, _ = split_chain(option.layout)
    return isinstance(first, Concatenate) and first.dim in dims


def _sections(stack: Stack, dim: int) -> Iterator[Sections]:
    """Ranks that hold a piece of every section of a dim, as tensor parallelism does with fused weights: equal
    sections (gate and up), or a query of several times the key and the value."""
    size = stack.local[dim]
    for count in [count for count in divisors(size) if count > 1][:_MAX_SECTIONS]:
        sizes = (size // count,) * count
        yield Sections(dim=dim, ranks=stack.ranks, local=stack.local, sizes=sizes)
    for times in (times for times in range(2, _MAX_SECTIONS) if size % (times + 2) == 0):
        single = size // (times + 2)
        sizes = (times * single, single, single)
        yield Sections(dim=dim, ranks=stack.ranks, local=stack.local, sizes=sizes)


def _joined(stack: Stack, candidate: Candidate) -> Layout:
    """As a concatenation along a dim where it is one: easier to read, and one copy less."""
    found = candidate.rearrange
    if found.is_identity:
        return stack
    sizes = list(found.atoms)
    real = [atom for atom in found.order if sizes[atom] > 1]
    if sizes[0] == stack.ranks and 0 in real[:-1]:
        following = real[real.index(0) + 1]
        dim = _dim_that_begins_with(following, sizes, stack.local)
        if dim is not None:
            combined = Concatenate(dim=dim, shapes=(stack.local,) * stack.ranks)
            sizes[following] *= stack.ranks
            rest = Rearrange(
                source=combined.shape,
                atoms=tuple(sizes[1:]),
                order=tuple(atom - 1 for atom in found.order if atom != 0),
                shape=found.shape,
            )
            return chain(combined, rest)
    return chain(stack, found)


def _dim_that_begins_with(atom: int, sizes: Sequence[int], local: Shape) -> int | None:
    """The dim of the ranks' tensors whose outermost factor is that atom; atom 0 is the ranks themselves."""
    before, outer = math.prod(sizes[1:atom]), 1
    for dim, size in enumerate(local):
        if outer == before and size > 1:
            return dim
        outer *= size
    return None
