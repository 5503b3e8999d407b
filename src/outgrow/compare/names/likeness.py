"""Whether two tensors hold the same numbers, wherever those lie: what names cannot tell, contents can."""

__all__ = ["likelier"]

from collections.abc import Callable, Iterable, Sequence
from statistics import quantiles

import torch
from torch import Tensor

from outgrow.compare.names.entity import Entity
from outgrow.errors import StoreError

_MOST_TENSORS = 8
_MOST_ELEMENTS = 2**20
_FEWEST_ELEMENTS = 8
_NEAR = 0.02
"""Largest distance of sorted numbers that are still called the same; runs in bfloat16 stay far below."""
_TIMES = 8.0
"""How many times farther apart the other choice has to be."""


def likelier(
    first: Sequence[tuple[Entity, Entity]], second: Sequence[tuple[Entity, Entity]]
) -> tuple[int, float, float] | None:
    """Which of two ways to pair the same tensors fits their contents, 0 or 1, with the distances of the
    better and of the other one; None where they cannot tell.

    The numbers of a few small tensors are sorted, so that layouts do not matter. The lower quartile of the
    distances counts: in a run that goes wrong somewhere only its first tensors are alike.
    """
    one, other = _typical(first), _typical(second)
    if one is None or other is None:
        return None
    near, far = min(one, other), max(one, other)
    return (0 if one < other else 1, near, far) if near <= _NEAR and near * _TIMES < far else None


def _typical(pairs: Sequence[tuple[Entity, Entity]]) -> float | None:
    found: list[float] = []
    for one, other in sorted(pairs, key=lambda pair: pair[0].record.elements):
        if one.record.elements < _FEWEST_ELEMENTS or one.record.elements > _MOST_ELEMENTS:
            continue
        distance = _distance(one, other)
        if distance is not None:
            found.append(distance)
        if len(found) == _MOST_TENSORS:
            break
    if len(found) < 2:
        return found[0] if found else None
    return quantiles(found, n=4, method="inclusive")[0]


def _distance(one: Entity, other: Entity) -> float | None:
    """Between the sorted numbers, relative to their norm; None where they cannot be compared so."""
    here = _sorted(record.read for record in [one.record])
    if here is None:
        return None
    ranks = list(other.records.values())
    for records in ([other.record], ranks):
        if sum(record.elements for record in records) == one.record.elements:
            there = _sorted(record.read for record in records)
            norm = float(here.norm())
            return None if there is None or not norm else float((there - here).norm()) / norm
    return None


def _sorted(readers: Iterable[Callable[[], Tensor]]) -> Tensor | None:
    try:
        flat = torch.cat([read().flatten() for read in readers])
    except StoreError:
        # Said by name when the pair itself is read.
        return None
    if flat.is_complex() or flat.dtype == torch.bool:
        return None
    return flat.double().nan_to_num(0.0, 0.0, 0.0).sort().values
