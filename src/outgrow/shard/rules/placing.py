"""What a program says about placement in the middle of a step: `outgrow.place`."""

__all__ = ["PLACE", "place_rows"]

from typing import Final

from outgrow.placement import parse_placement
from outgrow.shard.instructions import Template
from outgrow.shard.rules.row import Row

PLACE: Final = "outgrow.place.default"
"""Takes a tensor and a placement as text; gives the same numbers, held so."""


def place_rows(template: Template) -> tuple[Row, ...]:
    """The one way to run it: the program leaves no choice."""
    placement = parse_placement(template.args[1])
    return (Row((placement,), (placement,)),)
