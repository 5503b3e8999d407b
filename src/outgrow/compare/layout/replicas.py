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
        # Where float64 sees no distance, as between large integers, still one that differs.
        worst=max(range(len(tensors)), key=lambda rank: (errors[rank], rank in differing)),
    )


def _distance(one: Tensor, other: Tensor) -> tuple[int, float]:
    """Elements that differ, NaN being equal to NaN, and the largest distance."""
    if one.dtype == other.dtype and one.dtype.itemsize > 1 and torch.equal(one, other):
        return 0, 0.0
    count, largest = 0, 0.0
    is_exact = one.dtype == other.dtype and not (one.dtype.is_floating_point or one.dtype.is_complex)
    codes = zip(_pieces(one), _pieces(other), strict=True)
    for (left, right), (code, other_code) in zip(_chunks(one, other), codes, strict=True):
        # float64 does not hold every integer.
        differs = _bits(code) != _bits(other_code) if is_exact else left != right
        differs &= ~(left.isnan() & right.isnan())
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
    for left, right in zip(_pieces(one), _pieces(other), strict=True):
        yield _wide(left), _wide(right)


def _pieces(tensor: Tensor) -> Iterator[Tensor]:
    flat = tensor.reshape(-1)
    for start in range(0, flat.numel(), _CHUNK):
        yield flat[start : start + _CHUNK]


def _bits(tensor: Tensor) -> Tensor:
    """torch compares not all integers without a sign."""
    return tensor.view(torch.int64) if tensor.dtype == torch.uint64 else tensor


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.complex128) if tensor.is_complex() else tensor.double()
