"""The least sum of tables over pairs of variables, by bucket elimination on plain arrays.

Tables are interned and what is done to them is remembered: the layers of a model are alike, so most of the
work is done once for all of them, and a second solve of a problem that changed little costs little.

Source: Dechter 1999, "Bucket elimination"; Desmet et al. 1992, "The dead-end elimination theorem".
"""

__all__ = ["IMPOSSIBLE", "Assignment", "Eliminator"]

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
IMPOSSIBLE: Final = 1e9
"""Seconds that no choice can be worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One choice for each variable."""

    choices: tuple[int, ...]
    cost: float
    """The sum of all tables at the choices."""
    is_exact: bool
    """Nothing is cheaper; False where a variable had to be fixed before its neighbours were known."""
    largest_table: int
    """Entries of the largest table that was made."""


class Eliminator:
    """Solves problems that share many tables; keeps what it made of them."""

    def __init__(self, *, largest_table: int = 1_000_000) -> None:
        """`largest_table`: entries beyond which a variable is fixed rather than eliminated."""
        self.largest_table = largest_table
        self._tables: list[Table] = []
        self._by_content: dict[tuple[tuple[int, ...], bytes], int] = {}
        self._by_identity: dict[int, tuple[Table, int]] = {}
        self._made: dict[tuple[Any, ...], Any] = {}

    def solve(self, unary: Sequence[Table], pairs: Mapping[tuple[int, int], Sequence[Table]]) -> Assignment:
        """The best choices.

        `unary[v]`: cost of each choice of variable v, `[choices of v]`. `pairs[v, w]`, v != w: tables
        `[choices of v, choices of w]` that are added up. No array may be changed afterwards.
        """
        state = _State(self, unary, pairs)
        state.drop_dead_ends()
        state.fold_fixed()
        is_exact = state.eliminate()
        choices = state.walk_back()
        cost = sum(float(table[choice]) for table, choice in zip(unary, choices, strict=True))
        for (v, w), tables in pairs.items():
            cost += sum(float(table[choices[v], choices[w]]) for table in tables)
        return Assignment(choices=choices, cost=cost, is_exact=is_exact, largest_table=state.largest)

    # Tables by number; each operation on the same numbers is done once

    def table(self, number: int) -> Table:
        """The table of a number."""
        return self._tables[number]

    def intern(self, table: Table) -> int:
        """The number of a table; the same for equal contents."""
        known = self._by_identity.get(id(table))
        if known is not None:
            return known[1]
        key = (table.shape, table.tobytes())
        number = self._by_content.get(key)
        if number is None:
            number = self._by_content[key] = self._add(table)
        self._by_identity[id(table)] = (table, number)
        return number

    def _add(self, table: Table) -> int:
        self._tables.append(table)
        return len(self._tables) - 1

    def total(self, first: int, second: int) -> int:
        """The sum of two tables."""
        key = ("+", first, second)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._add(self._tables[first] + self._tables[second])
        return int(found)

    def swapped(self, number: int) -> int:
        """A table with its two axes exchanged."""
        key = ("T", number)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self.intern(np.ascontiguousarray(self._tables[number].T))
        return int(found)

    def taken(self, number: int, axis: int, choices: Any) -> int:
        """A table with only some choices along an axis: a tuple keeps the axis, a number drops it."""
        key = ("take", number, axis, choices)
        found = self._made.get(key)
        if found is None:
            table = np.ascontiguousarray(np.take(self._tables[number], choices, axis=axis))
            found = self._made[key] = self._add(table) if table.size > 4096 else self.intern(table)
        return int(found)

    def alive(self, unary: int, pairs: tuple[int, ...]) -> tuple[int, ...]:
        """The choices of a variable that some choice of its neighbours could make the best one; of equals,
        the first.

        `pairs`: tables with the variable's own choices along the first axis.
        """
        key = ("alive", unary, pairs)
        found = self._made.get(key)
        if found is None:
            own = self._tables[unary]
            worse = own[None, :] - own[:, None]
            for number in pairs:
                table = self._tables[number]
                worse = worse + (table[None, :, :] - table[:, None, :]).max(-1)
            # worse[s, t] <= 0: t is never worse than s.
            beaten = worse <= 1e-12
            np.fill_diagonal(beaten, val=False)
            both = beaten & beaten.T
            beaten &= ~np.triu(both)
            found = tuple(int(choice) for choice in np.flatnonzero(~beaten.any(1)))
            self._made[key] = found
        return found

    def eliminated(
        self, unary: int, sizes: tuple[int, ...], factors: tuple[tuple[int, tuple[int, ...]], ...]
    ) -> tuple[int, NDArray[np.intp]]:
        """The table over a variable's neighbours of its best cost, and its best choice for each of theirs.

        `sizes`: choices of the neighbours, then of the variable. `factors`: tables and, for each of their
        axes, which of these it is.
        """
        key = ("out", unary, sizes, factors)
        found = self._made.get(key)
        if found is None:
            total = np.zeros(sizes)
            total += self._tables[unary]
            for number, places in factors:
                order = sorted(range(len(places)), key=places.__getitem__)
                shape = [1] * len(sizes)
                for place in places:
                    shape[place] = sizes[place]
                total += self._tables[number].transpose(order).reshape(shape)
            best = total.argmin(-1)
            least = np.minimum(np.take_along_axis(total, best[..., None], -1)[..., 0], IMPOSSIBLE)
            found = self._made[key] = (self._add(least), best.astype(np.int16))
        return found


class _State:
    """One problem while it is being solved."""

    def __init__(
        self,
        tables: Eliminator,
        unary: Sequence[Table],
        pairs: Mapping[tuple[int, int], Sequence[Table]],
    ) -> None:
        self.tables = tables
        self.unary = [tables.intern(table) for table in unary]
        self.kept: list[tuple[int, ...] | None] = [None] * len(unary)
        """Which of the choices given are left; None for all."""
        self.pairs: list[dict[int, int]] = [{} for _ in unary]
        """For each variable, by neighbour, the table with the variable's own choices first."""
        for (v, w), several in pairs.items():
            for table in several:
                number = tables.intern(table)
                known = self.pairs[v].get(w)
                number = number if known is None else tables.total(known, number)
                self.pairs[v][w] = number
                self.pairs[w][v] = tables.swapped(number)
        self.back: list[tuple[int, tuple[int, ...], Any]] = []
        self.largest = 0

    def drop_dead_ends(self, rounds: int = 4) -> None:
        """Leave out choices that others beat whatever the neighbours choose."""
        tables, waiting = self.tables, set(range(len(self.unary)))
        for _ in range(rounds):
            current, waiting = sorted(waiting), set()
            for v in current:
                if tables.table(self.unary[v]).size < 2:
                    continue
                mine = self.pairs[v]
                alive = tables.alive(self.unary[v], tuple(sorted(mine.values())))
                if len(alive) == tables.table(self.unary[v]).size:
                    continue
                before = self.kept[v]
                self.kept[v] = alive if before is None else tuple(before[choice] for choice in alive)
                self.unary[v] = tables.taken(self.unary[v], 0, alive)
                for w, number in mine.items():
                    mine[w] = tables.taken(number, 0, alive)
                    self.pairs[w][v] = tables.swapped(mine[w])
                    waiting.add(w)
            if not waiting:
                break

    def fold_fixed(self) -> None:
        """Add the tables of variables with one choice left to their neighbours' own."""
        tables = self.tables
        for v, number in enumerate(self.unary):
            if tables.table(number).size != 1:
                continue
            for w, table in self.pairs[v].items():
                self.unary[w] = tables.total(self.unary[w], tables.taken(table, 0, 0))
                del self.pairs[w][v]
            self.pairs[v] = {}

    def eliminate(self) -> bool:
        """Take variables out one by one, those with the smallest tables first; False where one had to be
        fixed."""
        tables, is_exact = self.tables, True
        sizes = [tables.table(number).size for number in self.unary]
        neighbours = [set(mine) for mine in self.pairs]
        factors: dict[int, tuple[tuple[int, ...], int]] = {}
        of: list[set[int]] = [set() for _ in sizes]
        for v, mine in enumerate(self.pairs):
            for w, number in mine.items():
                if v < w:
                    of[v].add(len(factors))
                    of[w].add(len(factors))
                    factors[len(factors)] = ((v, w), number)
        count = len(factors)

        def entries(v: int) -> int:
            product = sizes[v]
            for w in neighbours[v]:
                product *= sizes[w]
            return product

        heap = [(entries(v), v) for v in range(len(sizes))]
        heapq.heapify(heap)
        left = set(range(len(sizes)))
        while left:
            size, v = heapq.heappop(heap)
            if v not in left:
                continue
            actual = entries(v)
            if actual != size:
                heapq.heappush(heap, (actual, v))
                continue
            fixed = None
            if size > self.tables.largest_table:
                is_exact, cheapest = False, v
                v = max((v, *neighbours[v]), key=lambda w: (len(neighbours[w]), sizes[w], -w))
                fixed = self._likeliest(v, [factors[number] for number in of[v]])
                heapq.heappush(heap, (size, cheapest))
            around = tuple(sorted(neighbours[v]))
            if fixed is None:
                self.largest = max(self.largest, size)
                place = {w: at for at, w in enumerate((*around, v))}
                given = []
                for one in of[v]:
                    scope, table = factors[one]
                    given.append((table, tuple(place[w] for w in scope)))
                given.sort()
                made, best = tables.eliminated(
                    self.unary[v], tuple(sizes[w] for w in (*around, v)), tuple(given)
                )
                self.back.append((v, around, best))
                new = [(around, made)]
            else:
                self.back.append((v, (), fixed))
                new = []
                for number in of[v]:
                    scope, table = factors[number]
                    new.append(
                        (tuple(w for w in scope if w != v), tables.taken(table, scope.index(v), fixed))
                    )
            for number in tuple(of[v]):
                for w in factors.pop(number)[0]:
                    of[w].discard(number)
            for scope, table in new:
                if len(scope) == 1:
                    self.unary[scope[0]] = tables.total(self.unary[scope[0]], table)
                elif scope:
                    factors[count] = (scope, table)
                    for w in scope:
                        of[w].add(count)
                    count += 1
            left.discard(v)
            for w in around:
                neighbours[w].discard(v)
                if fixed is None:
                    neighbours[w].update(around)
                    neighbours[w].discard(w)
                heapq.heappush(heap, (entries(w), w))
            neighbours[v] = set()
        return is_exact

    def _likeliest(self, v: int, factors: list[tuple[tuple[int, ...], int]]) -> int:
        """The choice that is cheapest if all neighbours suit it."""
        total = self.tables.table(self.unary[v]).copy()
        for scope, number in factors:
            table, axis = self.tables.table(number), scope.index(v)
            total += table.min(axis=tuple(other for other in range(table.ndim) if other != axis))
        return int(total.argmin())

    def walk_back(self) -> tuple[int, ...]:
        """The choices, in the numbers of the problem given."""
        chosen = [0] * len(self.unary)
        for v, around, best in reversed(self.back):
            chosen[v] = (
                best if not around and isinstance(best, int) else int(best[tuple(chosen[w] for w in around)])
            )
        return tuple(
            choice if kept is None else kept[choice] for choice, kept in zip(chosen, self.kept, strict=True)
        )
