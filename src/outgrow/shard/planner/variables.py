"""What a problem is made of for the search: variables with options, values that they make and read."""

__all__ = ["END", "Move", "Use", "Value", "Variable"]

from dataclasses import dataclass
from typing import Final, NamedTuple

from outgrow.placement import Placement
from outgrow.shard.instructions import TensorMeta
from outgrow.shard.rules import Row

END: Final = -1
"""The position of a use that is not an argument of a step: a new state becoming an input, a value being
fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """Something that is held or run in one of several ways."""

    options: tuple[Row, ...]
    """Without doubles. An input's options read nothing and make the input."""
    numbers: tuple[int, ...]
    """For each option, which of the problem's rows it is; for an input 0 and up."""
    step: int | None
    """None for an input."""


@dataclass(frozen=True, slots=True)
class Use:
    """A value being read."""

    variable: int
    position: int
    """Which argument, or END."""
    is_deferred: bool
    """Nothing but one parameter's update waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An input or something a step makes."""

    meta: TensorMeta
    nbytes: int
    maker: int
    """A variable."""
    output: int
    uses: tuple[Use, ...]


class Move(NamedTuple):
    """A value that is turned into another placement."""

    value: int
    old: Placement
    new: Placement
    is_deferred: bool
    seconds: float
