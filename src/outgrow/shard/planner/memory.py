"""Plans that fit: a price on every byte that is held between steps, raised until they do."""

__all__ = ["MemoryLimitTooSmall", "solve_within"]

from typing import Final

from outgrow.errors import InputError
from outgrow.placement import Placement
from outgrow.quantities import format_bytes
from outgrow.shard.planner.search import Search, Solution

_RAISES: Final = 8
_HALVINGS: Final = 5


class MemoryLimitTooSmall(InputError):
    """No placement makes what is held between steps fit on the ranks."""

    def __init__(self, limit: int, least_bytes: int, world_size: int) -> None:
        super().__init__(
            f"a worker may hold {format_bytes(limit)} between two steps, of parameters, optimizer state, "
            f"gradients and data; with {world_size} workers the fullest holds at least {least_bytes:,} bytes",
            hint=f"set GT_WORKER_MEMORY to {least_bytes} or more, or start more workers",
        )
        self.least_bytes = least_bytes
        """The least limit that a plan fits into."""


def solve_within(
    search: Search, limit: int | None, *, allowed: dict[int, frozenset[Placement]] | None = None
) -> Solution:
    """The cheapest solution with which no rank holds more than `limit` bytes between two steps.

    The price per byte is a Lagrange multiplier: what it finds is the cheapest of all that hold as little or
    less, though between two prices there may be a cheaper one that fits just so.

    Raises:
        MemoryLimitTooSmall: nothing fits.
    """
    graph = search.graph
    found = search.solve(allowed=allowed)
    held = graph.rest_bytes(found.choices)
    if limit is None or held <= limit:
        return found
    best = search.solve(allowed=allowed, is_smallest=True)
    least = graph.rest_bytes(best.choices)
    if least > limit:
        raise MemoryLimitTooSmall(limit, least, graph.cost.world_size)
    price, too_cheap = found.seconds / max(1, held), 0.0
    for _ in range(_RAISES):
        found = search.solve(allowed=allowed, rest_price=price)
        if graph.rest_bytes(found.choices) <= limit:
            best = min(best, found, key=lambda one: one.seconds)
            break
        too_cheap, price = price, price * 16
    for _ in range(_HALVINGS):
        middle = (too_cheap * price) ** 0.5 if too_cheap else price / 16
        found = search.solve(allowed=allowed, rest_price=middle)
        if graph.rest_bytes(found.choices) <= limit:
            price, best = middle, min(best, found, key=lambda one: one.seconds)
        else:
            too_cheap = middle
    return best
