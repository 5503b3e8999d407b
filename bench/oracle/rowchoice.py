"""Rows picked at random, so that each one is run in company; and a count of which were."""

__all__ = ["Chooser", "Picker"]

import random
from collections.abc import Callable
from typing import Any

from outgrow.placement import Placement
from outgrow.shard.ranks.greedy import choose_row
from outgrow.shard.rules import Row

Chooser = Callable[[tuple[Row, ...], list[Placement], Any], Row]


class Picker:
    """Chooses rows for an executor: the cheapest one, or with a seed any of them."""

    REPLICATED = 0.1
    """How often the replicated row is taken where there are others."""

    def __init__(self, world_size: int, seed: int | None, seen: dict[str, set[str]]) -> None:
        self.world_size = world_size
        self.chance = None if seed is None else random.Random(seed)
        self.seen = seen
        """By op: the rows that were run, written out."""

    def __call__(self, known: tuple[Row, ...], placements: list[Placement], template: Any) -> Row:
        """See `Executor`."""
        if len(known) == 1:
            return known[0]
        if self.chance is None:
            row = choose_row(known, placements, template.inputs, self.world_size)
        elif self.chance.random() < self.REPLICATED:
            row = known[0]
        else:
            row = self.chance.choice(known[1:])
        if row is not known[0]:
            self.seen.setdefault(template.op, set()).add(
                f"{','.join(map(str, row.inputs))}->{','.join(map(str, row.outputs))}"
            )
        return row
