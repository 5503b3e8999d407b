"""Which ways there are to run each op on pieces. Whatever has no rule runs replicated."""

__all__ = ["RULES", "Row", "rows"]

from collections.abc import Callable

from outgrow.shard.instructions import Template
from outgrow.shard.rules.pointwise import POINTWISE_OPS, pointwise_rows
from outgrow.shard.rules.row import Row, replicated

Rule = Callable[[Template, int], tuple[Row, ...]]

RULES: dict[str, Rule] = dict.fromkeys(POINTWISE_OPS, pointwise_rows)
"""From an op's qualified name to its rule."""


def rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """All rows of an op, the replicated one first; each is right whatever the numbers are."""
    rule = RULES.get(template.op)
    first = replicated(template)
    return (first,) if rule is None or world_size == 1 else (first, *rule(template, world_size))
