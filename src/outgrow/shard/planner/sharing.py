"""A value that several readers want in a placement in which it is not made: turned once for all of them."""

__all__ = ["WORTH_SHARING", "Sharing", "sharing_tables"]

from collections import Counter
from typing import Final, NamedTuple

import numpy as np

from outgrow.placement import Placement
from outgrow.shard.planner.cost import CostModel
from outgrow.shard.planner.elimination import IMPOSSIBLE, Table

WORTH_SHARING: Final = 5e-6
"""Seconds of a redistribution below which it is no matter whether it is done twice."""


class Sharing(NamedTuple):
    """Tables of a variable that says into what the value is turned."""

    own: Table
    match: Table
    readers: tuple[Table, ...]


def sharing_tables(
    cost: CostModel,
    made: tuple[Placement, ...],
    needs: tuple[tuple[tuple[Placement, ...], bool], ...],
    nbytes: int,
) -> Sharing:
    """Tables for a value `made` in some placement; `needs`: what each reader may read, and if it can wait."""
    states: list[tuple[Placement, Placement | None, bool]] = []
    costs = []
    wanted = Counter(new for need, _ in needs for new in dict.fromkeys(need))
    for old in dict.fromkeys(made):
        states.append((old, None, True))
        costs.append(0.0)
        for new, count in wanted.items():
            for is_deferred in sorted({is_deferred for _, is_deferred in needs}):
                seconds = cost.move(old, new, nbytes, is_deferred)
                if count > 1 and seconds > WORTH_SHARING:
                    states.append((old, new, is_deferred))
                    costs.append(seconds)
    match = [[0.0 if old == state[0] else IMPOSSIBLE for state in states] for old in made]
    readers = []
    for need, can_wait in needs:
        table = [
            [
                0.0 if new == copied and (can_wait or not late) else cost.move(old, new, nbytes, can_wait)
                for new in need
            ]
            for old, copied, late in states
        ]
        readers.append(np.array(table))
    return Sharing(np.array(costs), np.array(match), tuple(readers))
