"""Try one of each kind of place: what works in one layer works in those that are made alike."""

__all__ = ["tried_by_kind"]

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from torch import nn

Place = TypeVar("Place")


def tried_by_kind(
    model: nn.Module,
    places: Iterable[Place],
    name_of: Callable[[Place], str],
    works: Callable[[Place], bool],
) -> Iterator[Place]:
    """Those places whose kind works: the first place of each kind is tried.

    Places are of one kind whose names differ in numbers only, and whose modules are of one class.
    """
    known: dict[tuple[str, type], bool] = {}
    for place in places:
        name = name_of(place)
        kind = (re.sub(r"\d+", "*", name), type(model.get_submodule(name)))
        if kind not in known:
            known[kind] = works(place)
        if known[kind]:
            yield place
