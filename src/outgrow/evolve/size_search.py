"""Find out by trying which numbers in modules have to change together with a leaf."""

__all__ = ["find_attributes"]

from collections.abc import Callable, Sequence
from itertools import combinations

from torch import nn

from outgrow.evolve.coupling.coupling import Coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.size_attributes import candidate_attributes
from outgrow.evolve.site import SizeAttribute
from outgrow.evolve.trial import Trial

_PAIRS = 28
"""Pairs that are tried: those of 8 candidates."""

Attributes = tuple[SizeAttribute, ...]


def find_attributes(
    trial: Trial, model: nn.Module, coupling: Coupling, leaf: Extent, method: str
) -> Attributes | None:
    """The fewest numbers with which the model gives the same once `leaf` has grown; None where none do.

    Tried in this order: none; all candidates, from which those are left out again that do not matter; each
    alone; pairs.
    """

    def grows(attributes: Sequence[SizeAttribute]) -> bool:
        return trial.grows(leaf, method, attributes)

    if grows(()):
        return ()
    candidates = candidate_attributes(model, coupling, leaf)
    if not candidates:
        return None
    first = list({(one.module, one.path): one for one in reversed(candidates)}.values())[::-1]
    if grows(first):
        return _fewest(first, grows)
    for count in (1, 2):
        for some in list(combinations(candidates, count))[:_PAIRS]:
            if len({(one.module, one.path) for one in some}) == count and grows(some):
                return some
    return None


def _fewest(attributes: list[SizeAttribute], grows: Callable[[Sequence[SizeAttribute]], bool]) -> Attributes:
    """Leave out, the farthest first, whatever does not matter."""
    for one in reversed(attributes):
        without = [other for other in attributes if other is not one]
        if without and grows(without):
            attributes = without
    return tuple(attributes)
