"""How one family of models spells the parts of a transformer."""

__all__ = ["Family", "expand"]

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_CHOICE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One row of the registry."""

    stages: Mapping[str, str]
    """From a stage, as `outgrow.compare.order` calls it, to how the family spells it: what stands behind the
    number of the layer, or for parts outside of the layers the whole name without wrappers such as
    `model.`. Several spellings are separated by spaces; `{q,wq}` stands for either, `{attn.,}q` for
    `attn.q` and `q`. Case and separators do not matter. `decoder:` in front restricts a spelling to that
    tower."""
    note: str | None = None
    """What a pair found by this family assumes, where that is not certain."""
    known_by: str | None = None
    """Spellings of which one must be there, or the family is not considered; None where any will do."""


def expand(spelling: str) -> Iterator[str]:
    """The spellings that `{a,b}` stands for."""
    choice = _CHOICE.search(spelling)
    if choice is None:
        yield spelling
        return
    for word in choice[1].split(","):
        yield from expand(spelling[: choice.start()] + word + spelling[choice.end() :])
