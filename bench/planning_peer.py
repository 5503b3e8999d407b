"""The same problem as an integer program, solved by HiGHS: what the planner's plans are held against."""

__all__ = ["solve_exactly"]

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix

from outgrow.placement import Placement, Replicate
from outgrow.shard.planner.graph import Graph
from outgrow.shard.planner.variables import END, Value


class _Program:
    """Columns and rows of an integer program, gathered one by one."""

    def __init__(self) -> None:
        self.costs: list[float] = []
        self.is_whole: list[int] = []
        self.entries: list[tuple[int, int, float]] = []
        self.lower: list[float] = []
        self.upper: list[float] = []

    def column(self, cost: float, *, is_whole: bool = False) -> int:
        self.costs.append(cost)
        self.is_whole.append(int(is_whole))
        return len(self.costs) - 1

    def row(self, terms: Sequence[tuple[int, float]], lower: float, upper: float) -> None:
        number = len(self.lower)
        self.entries += [(number, column, factor) for column, factor in terms]
        self.lower.append(lower)
        self.upper.append(upper)

    def solve(self, seconds: float) -> tuple[np.ndarray | None, float]:
        numbers, columns, factors = zip(*self.entries, strict=True)
        matrix = csr_matrix((factors, (numbers, columns)), shape=(len(self.lower), len(self.costs)))
        found = milp(
            np.array(self.costs) * 1e3,  # in milliseconds: HiGHS's tolerances are absolute
            constraints=LinearConstraint(matrix, self.lower, self.upper),
            integrality=np.array(self.is_whole),
            bounds=Bounds(0, 1),
            options={"time_limit": seconds, "mip_rel_gap": 1e-4},
        )
        bound = getattr(found, "mip_dual_bound", None)
        return found.x, math.nan if bound is None else bound / 1e3


def solve_exactly(graph: Graph, *, seconds: float = 60.0) -> tuple[tuple[int, ...] | None, float]:
    """An option for each variable, and a number of seconds that no plan can be below by the same costs.

    None where nothing was found in time. A value that is turned into a placement is turned once for all
    who want it.
    """
    program = _Program()
    own = graph.own_tables()
    chosen = [[program.column(float(cost), is_whole=True) for cost in table] for table in own]
    for columns in chosen:
        program.row([(column, 1.0) for column in columns], 1, 1)
    for value in graph.values:
        _add_value(program, graph, chosen, value)
    found, bound = program.solve(seconds)
    if found is None:
        return None, bound
    return tuple(int(np.argmax([found[column] for column in columns])) for columns in chosen), bound


def _add_value(program: _Program, graph: Graph, chosen: list[list[int]], value: Value) -> None:
    made: dict[Placement, list[int]] = defaultdict(list)
    for row, column in zip(graph.variables[value.maker].options, chosen[value.maker], strict=True):
        made[row.outputs[value.output]].append(column)
    paid: dict[tuple[Placement, Placement, bool], int] = {}
    for use in value.uses:
        needed: dict[Placement, list[int]] = defaultdict(list)
        for row, column in zip(graph.variables[use.variable].options, chosen[use.variable], strict=True):
            needed[row.outputs[0] if use.position == END else row.inputs[use.position]].append(column)
        if list(made) == list(needed) == [Replicate()]:
            continue
        pairs = {(old, new): program.column(0.0) for old in made for new in needed}
        for old, columns in made.items():
            terms = [(pairs[old, new], 1.0) for new in needed] + [(column, -1.0) for column in columns]
            program.row(terms, 0, 0)
        for new, columns in needed.items():
            terms = [(pairs[old, new], 1.0) for old in made] + [(column, -1.0) for column in columns]
            program.row(terms, 0, 0)
        for (old, new), pair in pairs.items():
            late = graph.cost.move(old, new, value.nbytes, True)
            at_once = graph.cost.move(old, new, value.nbytes, False)
            # Paid once as a deferred one, and the rest once if anybody cannot wait.
            parts = [(True, min(late, at_once))]
            if not use.is_deferred:
                parts.append((False, at_once - min(late, at_once)))
            for key, amount in parts:
                if amount <= 0:
                    continue
                if (old, new, key) not in paid:
                    paid[old, new, key] = program.column(amount)
                program.row([(paid[old, new, key], 1.0), (pair, -1.0)], 0, np.inf)
