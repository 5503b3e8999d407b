"""The cheapest rows for one step: solve, see what would be moved twice, let it be shared, solve again."""

__all__ = ["Search", "Solution"]

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outgrow.placement import Placement
from outgrow.shard.planner.elimination import Eliminator
from outgrow.shard.planner.graph import Graph
from outgrow.shard.planner.sharing import WORTH_SHARING
from outgrow.shard.planner.variables import END

_ROUNDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """An option for each variable of a graph."""

    choices: tuple[int, ...]
    seconds: float
    """Predicted for a step."""
    is_exact: bool
    """No choice is predicted to be faster, but for what sharing could save that was not looked at."""


class Search:
    """Solves one graph, perhaps several times under different demands; what one solve found out serves the
    next."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._eliminator = Eliminator()
        self._shared: set[int] = set()

    def solve(
        self,
        *,
        allowed: Mapping[int, frozenset[Placement]] | None = None,
        rest_price: float = 0.0,
        is_smallest: bool = False,
    ) -> Solution:
        """The cheapest choices; for the arguments see `Graph.own_tables`."""
        graph, best = self.graph, None
        own = graph.own_tables(allowed=allowed, rest_price=rest_price, is_smallest=is_smallest)
        for _ in range(_ROUNDS):
            pairs, further = graph.pair_tables(self._shared)
            found = self._eliminator.solve([*own, *further], pairs)
            choices = found.choices[: len(graph.variables)]
            price = sum(float(table[choice]) for table, choice in zip(own, choices, strict=True))
            price += sum(move.seconds for move in graph.moves(choices))
            if best is None or price < best[0] - 1e-12:
                best = (
                    price,
                    Solution(choices=choices, seconds=graph.seconds(choices), is_exact=found.is_exact),
                )
            doubled = self._doubled(choices) - self._shared
            if not doubled:
                break
            self._shared |= doubled
        assert best is not None
        return best[1]

    def _doubled(self, choices: Sequence[int]) -> set[int]:
        """Values that several readers want in a placement that they are not made in."""
        graph, found = self.graph, set()
        for number, value in enumerate(graph.values):
            if len(value.uses) < 2:
                continue
            old = graph.variables[value.maker].options[choices[value.maker]].outputs[value.output]
            wanted: Counter[Placement] = Counter()
            for use in value.uses:
                row = graph.variables[use.variable].options[choices[use.variable]]
                wanted[row.outputs[0] if use.position == END else row.inputs[use.position]] += 1
            del wanted[old]
            if any(graph.cost.move(old, new, value.nbytes, False) > WORTH_SHARING for new in wanted):
                found.add(number)
        return found
