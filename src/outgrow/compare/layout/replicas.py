"""Ranks that should all hold the same: whether they do, and which is farthest from the expected tensor."""

__all__ = ["Replicas", "look_at_replicas"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.compare.layout.layout import Layout

_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """How far the ranks agree."""

    differing: tuple[int, ...]
    """Ranks that do not hold exactly what rank 0 holds."""
    elements: int
    """How many numbers differ from rank 0, in the rank with most of them."""
    largest: float
    """The largest distance from rank 0; infinite where NaN stands against a number."""
    worst: int
    """Which rank is farthest from the expected tensor."""

    def describe(self) -> str:
        """A sentence."""
        ranks = ", ".join(map(str, self.differing))
        word = "rank" if len(self.differing) == 1 else "ranks"
        verb = "differs" if len(self.differing) == 1 else "differ"
        return (
            f"{word} {ranks} {verb} from rank 0 in up to {self.elements:,} elements, by up to "
            f"{self.largest:.3g}; measured is rank {self.worst}, the farthest from expected"
        )


def look_at_replicas(tensors: Sequence[Tensor], expected: Tensor, layout: Layout) -> Replicas | None:
    """Compare all ranks with rank 0 in full; None where they are equal. `layout` lays out one rank's tensor
    as `expected`, and is used only where they are not."""
    first = tensors[0]
    found = {rank: _distance(first, tensor) for rank, tensor in enumerate(tensors[1:], start=1)}
    differing = tuple(rank for rank, (count, _) in found.items() if count)
    if not differing:
        return None
    errors = [_error(layout.apply([tensor]), expected) for tensor in tensors]
    return Replicas(
        differing=differing,
        elements=max(found[rank][0] for rank in differing),
        largest=max(found[rank][1] for rank in differing),
        worst=max(range(len(tensors)), key=lambda rank: errors[rank]),
    )


def _distance(one: Tensor, other: Tensor) -> tuple[int, float]:
    """Elements that differ, NaN being equal to NaN, and the largest distance."""
    if one.dtype == other.dtype and one.dtype.itemsize > 1 and torch.equal(one, other):
        return 0, 0.0
    count, largest = 0, 0.0
    for left, right in _chunks(one, other):
        differs = (left != right) & ~(left.isnan() & right.isnan())
        here = int(differs.sum())
        if here:
            count += here
            away = (left[differs] - right[differs]).abs()
            largest = max(largest, float(away.nan_to_num(nan=torch.inf, posinf=torch.inf).max()))
    return count, largest


def _error(actual: Tensor, expected: Tensor) -> float:
    """Squared distance; infinite where one side alone is not finite."""
    total = 0.0
    for left, right in _chunks(actual, expected):
        away = (left - right).abs()
        same = (left == right) | (left.isnan() & right.isnan())
        away = torch.where(same, torch.zeros_like(away), away)
        total += float((away * away).nan_to_num(nan=torch.inf, posinf=torch.inf).sum())
    return total


def _chunks(one: Tensor, other: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Both in float64 or complex128, a piece at a time."""
    one, other = one.reshape(-1), other.reshape(-1)
    for start in range(0, one.numel(), _CHUNK):
        yield _wide(one[start : start + _CHUNK]), _wide(other[start : start + _CHUNK])


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.complex128) if tensor.is_complex() else tensor.double()
