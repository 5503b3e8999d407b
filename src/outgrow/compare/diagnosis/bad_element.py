"""Few elements that are far off, among many that are right."""

__all__ = ["diagnose"]

import torch
from torch import Tensor

from outgrow.compare.diagnosis.context import Context, explains
from outgrow.compare.diagnosis.diagnosis import Diagnosis

MAX_SHARE = 1e-3
"""Few elements: at most this part of all."""
MAX_COUNT = 8
BIT_TYPES = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def diagnose(context: Context) -> Diagnosis | None:
    """Without at most 8 elements (and one in a thousand) there would be next to no difference."""
    expected, actual = context.expected_window, context.actual_window
    distance = (actual - expected).abs().flatten()
    limit = min(MAX_COUNT, max(1, int(distance.numel() * MAX_SHARE)))
    if distance.numel() < 32:
        return None
    worst = distance.topk(limit + 1)
    # As many as stand out: the last one that is still many times the one after it.
    gaps = [rank for rank in range(limit) if worst.values[rank] > 8 * worst.values[rank + 1]]
    if not gaps:
        return None
    count = gaps[-1] + 1
    rest = distance.clone()
    rest[worst.indices[:count]] = 0
    error = float(distance.norm() / expected.norm())
    left = float(rest.norm() / expected.norm())
    # What stands out eightfold among numbers that are right is bad, however much the right ones differ.
    if left > context.allowed and not explains(left, error, context.allowed):
        return None
    where = torch.unravel_index(worst.indices[0], expected.shape)
    index = tuple(int(place) + start for place, start in zip(where, context.origin, strict=True))
    wanted, found = context.expected[index], context.actual[index]
    what = "element is" if count == 1 else "elements are"
    detail = (
        f"{count} {what} far off: at {list(index)} {found.item():.6g} instead of {wanted.item():.6g}; without"
        f" {'it' if count == 1 else 'them'} a relative error of {left:.2g} is left"
    )
    bit = _flipped_bit(wanted, found)
    if bit is not None:
        detail += f"; the two differ by bit {bit} of {found.dtype.itemsize * 8} alone"
    return Diagnosis(at=context.finding.pair.expected_name, kind="bad_element", detail=detail)


def _flipped_bit(wanted: Tensor, found: Tensor) -> int | None:
    """Which bit of one number has to be flipped to come as near to the other as rounding can be."""
    if wanted.dtype != found.dtype or found.is_complex() or found.dtype == torch.bool:
        return None
    integer = BIT_TYPES[found.dtype.itemsize]
    bits = wanted.reshape(1).clone().view(integer)
    target = found.double().item()
    near = 8 * torch.finfo(found.dtype).eps if found.dtype.is_floating_point else 0.0
    for bit in range(found.dtype.itemsize * 8):
        one = torch.tensor([1], dtype=integer) << bit
        flipped = (bits ^ one).view(found.dtype).double().item()
        if abs(flipped - target) <= near * abs(target):
            return bit
    return None
