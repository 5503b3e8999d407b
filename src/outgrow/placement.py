"""How the workers of a one-dimensional mesh hold one tensor together."""

__all__ = ["Owned", "Partial", "Placement", "Replicate", "Shard", "parse_placement"]

import re
from dataclasses import dataclass
from typing import Final

from outgrow.errors import InputError

REDUCTIONS: Final = ("sum", "avg", "max", "min")


@dataclass(frozen=True, slots=True)
class Replicate:
    """Every rank holds the whole tensor."""

    def __str__(self) -> str:
        return "R"


@dataclass(frozen=True, slots=True)
class Shard:
    """Rank r holds the r-th piece of one dim, cut as `torch.chunk` does: the last may be short or empty."""

    dim: int
    """The dim that is cut, counted from the front."""

    def __post_init__(self) -> None:
        if type(self.dim) is not int:
            raise InputError(
                f"the dim of a Shard is {self.dim!r}, expected a whole number",
                hint="write Shard(0) to cut rows",
            )

    def __str__(self) -> str:
        return f"S({self.dim})"


@dataclass(frozen=True, slots=True)
class Partial:
    """Every rank holds a tensor of the whole shape; reduced over the ranks they give the tensor."""

    reduction: str = "sum"
    """One of `sum`, `avg`, `max`, `min`."""

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            raise InputError(
                f"a Partial reduces by {self.reduction!r}, expected one of {', '.join(REDUCTIONS)}",
                hint="write Partial() for a sum",
            )

    def __str__(self) -> str:
        return f"P({self.reduction})"


@dataclass(frozen=True, slots=True)
class Owned:
    """One rank alone holds the whole tensor; the others hold nothing."""

    rank: int = 0
    """Which rank."""

    def __str__(self) -> str:
        return f"O({self.rank})"


Placement = Replicate | Shard | Partial | Owned

_TEXT = re.compile(
    r"^(?:(?P<R>R|replicate(?:\(\))?)|(?:S|shard)\((?P<S>\d+)\)|(?:P|partial)\((?P<P>\w*)\)|(?:O|owned)\((?P<O>\d+)\))$",
    re.I,
)


def parse_placement(text: str) -> Placement:
    """The placement that `str()` or somebody wrote: `R`, `S(0)`, `P(sum)`, `O(0)`, `Replicate()`, `Shard(0)`.

    Raises:
        InputError: the text is none of these.
    """
    match = _TEXT.match(text.strip())
    if match is None:
        raise InputError(
            f"{text!r} is not a placement",
            hint="write R, S(0), P(sum) or O(0), or Replicate(), Shard(0), Partial(sum)",
        )
    if match["R"]:
        return Replicate()
    if match["S"] is not None:
        return Shard(int(match["S"]))
    if match["P"] is not None:
        return Partial(match["P"].lower() or "sum")
    return Owned(int(match["O"]))
