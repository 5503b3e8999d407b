"""Plans that fit: a price on every byte of state, raised until they do."""

__all__ = ["MemoryLimitTooSmall", "solve_within"]

from typing import Final

from outgrow.errors import InputError
from outgrow.placement import Placement
from outgrow.quantities import format_bytes
from outgrow.shard.planner.graph import Graph
from outgrow.shard.planner.search import Search, Solution

_RAISES: Final = 8
_HALVINGS: Final = 5


class MemoryLimitTooSmall(InputError):
    """No placement of state makes it fit on the ranks."""

    def __init__(self, limit: int, least_bytes: int, world_size: int) -> None:
        super().__init__(
            f"a worker may hold {format_bytes(limit)} of parameters, optimizer state and constants; with "
            f"{world_size} workers the fullest holds at least {least_bytes:,} bytes",
            hint=f"set GT_WORKER_MEMORY to {least_bytes} or more, or start more workers",
        )
        self.least_bytes = least_bytes
        """The least limit that a plan fits into."""


def solve_within(
    search: Search, limit: int | None, *, allowed: dict[int, frozenset[Placement]] | None = None
) -> Solution:
    """The cheapest solution whose state and kept inputs fit into `limit` bytes of each rank.

    The price per byte is a Lagrange multiplier: what it finds is the cheapest of all that hold as little or
    less, though between two prices there may be a cheaper one that fits just so.

    Raises:
        MemoryLimitTooSmall: nothing fits.
    """
    graph = search.graph
    found = search.solve(allowed=allowed)
    held = graph.state_bytes(found.choices)
    if limit is None or held <= limit:
        return found
    smallest = _smallest(graph, allowed)
    if smallest > limit:
        raise MemoryLimitTooSmall(limit, smallest, graph.cost.world_size)
    price, too_cheap, best = found.seconds / max(1, held), 0.0, None
    for _ in range(_RAISES):
        found = search.solve(allowed=allowed, state_price=price)
        if graph.state_bytes(found.choices) <= limit:
            best = found
            break
        too_cheap, price = price, price * 16
    if best is None:
        # Ties between placements of equal bytes are no matter here: the smallest choice of each fits.
        best = search.solve(allowed=_smallest_placements(graph, allowed))
    for _ in range(_HALVINGS):
        middle = (too_cheap * price) ** 0.5 if too_cheap else price / 16
        found = search.solve(allowed=allowed, state_price=middle)
        if graph.state_bytes(found.choices) <= limit:
            price, best = middle, found if found.seconds < best.seconds else best
        else:
            too_cheap = middle
    return best


def _smallest(graph: Graph, allowed: dict[int, frozenset[Placement]] | None) -> int:
    total = 0
    for number, placements in _smallest_placements(graph, allowed).items():
        meta = graph.problem.segment.inputs[number]
        total += graph.cost.local_bytes(meta, next(iter(placements)))
    return total


def _smallest_placements(
    graph: Graph, allowed: dict[int, frozenset[Placement]] | None
) -> dict[int, frozenset[Placement]]:
    found = {}
    for number in graph.resting:
        meta = graph.problem.segment.inputs[number]
        options = [row.outputs[0] for row in graph.variables[number].options]
        if allowed is not None and number in allowed:
            options = [one for one in options if one in allowed[number]]
        least = min(graph.cost.local_bytes(meta, one) for one in options)
        found[number] = frozenset(one for one in options if graph.cost.local_bytes(meta, one) == least)
    return found
