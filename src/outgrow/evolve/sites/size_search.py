"""Find out by trying which numbers in modules have to change together with a leaf."""

__all__ = ["find_attributes"]

from collections.abc import Callable
from itertools import combinations

from torch import nn

from outgrow.evolve.coupling.coupling import Coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.size_attributes import candidate_attributes
from outgrow.evolve.sites.site import SizeAttribute

_PAIRS = 28
"""Pairs that are tried: those of 8 candidates."""

Attributes = tuple[SizeAttribute, ...]


def find_attributes(
    model: nn.Module,
    coupling: Coupling,
    leaf: Extent,
    works: Callable[[Attributes], bool],
    is_near: Callable[[], bool] = lambda: False,
) -> Attributes | None:
    """The fewest numbers that have to change with `leaf` so that it `works`; None where none do.

    Tried in this order: none; all candidates, from which those are left out again that do not matter; each
    alone; pairs. Where it does not work but `is_near`, only rounding is in the way, which no number mends.
    """
    if works(()):
        return ()
    if is_near():
        return None
    candidates = candidate_attributes(model, coupling, leaf)
    if not candidates:
        return None
    first = tuple({(one.module, one.path): one for one in reversed(candidates)}.values())[::-1]
    if works(first):
        return _fewest(first, works)
    for count in (1, 2):
        for some in list(combinations(candidates, count))[:_PAIRS]:
            if len({(one.module, one.path) for one in some}) == count and works(some):
                return some
    return None


def _fewest(attributes: Attributes, works: Callable[[Attributes], bool]) -> Attributes:
    """Leave out, the farthest first, whatever does not matter."""
    for one in reversed(attributes):
        without = tuple(other for other in attributes if other is not one)
        if without and works(without):
            attributes = without
    return attributes
