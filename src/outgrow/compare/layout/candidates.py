"""All ways in which the axes of one shape can make up those of another; no numbers are looked at."""

__all__ = ["Candidate", "divisors", "find_candidates", "raw_reshape"]

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from outgrow.compare.layout.rearrange import Rearrange

_MAX_ATOMS = 8
_MAX_TABLES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One map, and how far it is from doing nothing."""

    rearrange: Rearrange
    level: int
    """0 where no axis is cut without need; each level has more atoms than the one before."""
    moves: int
    """Pairs of atoms that change their order; 0 for a plain reshape."""
    is_usual: bool = True
    """Whether the ranks' axis is the outermost part of the axis that it is in."""


def find_candidates(
    source: Sequence[int], target: Sequence[int], *, has_ranks: bool = False, max_level: int = 1, limit: int
) -> Iterator[list[Candidate]]:
    """Level by level, the simplest first, at most `limit` in all.

    Every axis is cut into factors ("atoms"), each of which belongs to one axis of the source and one of the
    target; two axes share at most one atom. So an axis that is on both sides in one piece is never shuffled
    within: that would be a permutation of equal shapes. With `has_ranks` the first axis of `source` counts
    the ranks.
    """
    source, target = tuple(source), tuple(target)
    rows = [(dim, size) for dim, size in enumerate(source) if size > 1]
    columns = [(dim, size) for dim, size in enumerate(target) if size > 1]
    left, level = limit, 0
    for count in range(max(len(rows), len(columns)), _MAX_ATOMS + 1):
        found = []
        tables = _tables([size for _, size in rows], [size for _, size in columns], count)
        for table in itertools.islice(tables, _MAX_TABLES):
            for candidate in _orders(table, source, target, rows, level, has_ranks=has_ranks):
                found.append(candidate)
                left -= 1
                if left == 0:
                    break
            if left == 0:
                break
        if found:
            found.sort(key=lambda candidate: (not candidate.is_usual, candidate.moves))
            yield found
            level += 1
        if left == 0 or level > max_level:
            return


def raw_reshape(source: Sequence[int], target: Sequence[int]) -> Candidate:
    """The map that keeps the row-major order, whether or not the axes have factors in common."""
    rearrange = Rearrange(
        source=tuple(source), atoms=(math.prod(source),), order=(0,), shape=tuple(target)
    )  # fmt: skip
    return Candidate(rearrange=rearrange, level=3, moves=0)


Table = tuple[tuple[int, int, int], ...]
"""Atoms as (source axis, target axis, size)."""


def _tables(rows: Sequence[int], columns: Sequence[int], atoms: int) -> Iterator[Table]:
    """Every way to cut the rows into exactly so many atoms that make up the columns."""

    def cut(row: int, column: int, rest: int, free: tuple[int, ...], left: int) -> Iterator[Table]:
        if row == len(rows):
            if left == 0:
                yield ()
            return
        if column == len(columns):
            if rest == 1:
                following = rows[row + 1] if row + 1 < len(rows) else 1
                yield from cut(row + 1, 0, following, free, left)
            return
        # Each row still to come needs an atom, and so does this one where it is not used up.
        if left < len(rows) - row - (rest == 1):
            return
        shared = math.gcd(rest, free[column])
        # The last row has to use every column up, and the last column its row.
        if row == len(rows) - 1:
            sizes = [free[column]] if shared == free[column] else []
        elif column == len(columns) - 1:
            sizes = [rest] if shared == rest else []
        else:
            sizes = divisors(shared)
        for size in sizes:
            if size == 1:
                yield from cut(row, column + 1, rest, free, left)
            elif left > 0:
                after = (*free[:column], free[column] // size, *free[column + 1 :])
                for others in cut(row, column + 1, rest // size, after, left - 1):
                    yield ((row, column, size), *others)

    return cut(0, 0, rows[0] if rows else 1, tuple(columns), atoms) if rows else iter([()])


def _orders(
    table: Table,
    source: tuple[int, ...],
    target: tuple[int, ...],
    rows: Sequence[tuple[int, int]],
    level: int,
    *,
    has_ranks: bool,
) -> Iterator[Candidate]:
    """The table's atoms in every order within their axes."""
    by_row = _grouped(table, 0)
    by_column = _grouped(table, 1)
    for inside in itertools.product(*(itertools.permutations(group) for group in by_row)):
        atoms = [atom for group in inside for atom in group]
        place = {(row, column): index for index, (row, column, _) in enumerate(atoms)}
        for outside in itertools.product(*(itertools.permutations(group) for group in by_column)):
            order = [place[row, column] for group in outside for row, column, _ in group]
            is_usual = not has_ranks or all(
                rows[row][0] != 0 or index == 0
                for group in outside
                for index, (row, _, _) in enumerate(group)
            )
            yield Candidate(
                rearrange=Rearrange(
                    source=source,
                    atoms=tuple(size for _, _, size in atoms) or (1,),
                    order=tuple(order) or (0,),
                    shape=target,
                ),
                level=level,
                moves=sum(a > b for a, b in itertools.combinations(order, 2)),
                is_usual=is_usual,
            )


def _grouped(table: Table, axis: int) -> list[list[tuple[int, int, int]]]:
    groups: dict[int, list[tuple[int, int, int]]] = {}
    for atom in table:
        groups.setdefault(atom[axis], []).append(atom)
    return [groups[key] for key in sorted(groups)]


def divisors(number: int) -> list[int]:
    """From 1 to the number itself."""
    small = [size for size in range(1, math.isqrt(number) + 1) if number % size == 0]
    return small + [number // size for size in reversed(small) if size * size != number]
