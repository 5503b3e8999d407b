"""Only some positions, heads, channels or samples are wrong."""

__all__ = ["diagnose"]

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from outgrow.compare.diagnosis.context import Context, as_double
from outgrow.compare.diagnosis.diagnosis import Diagnosis

CHUNK_ELEMENTS = 2**20
CLEARLY = 4.0
"""The least wrong entry of a dim has to be so many times worse than the worst right one."""


def diagnose(context: Context) -> Diagnosis | None:
    """Along one dim part of the entries are wrong, and all others are right."""
    best: tuple[float, int, list[int], float, float] | None = None
    for dim, errors in enumerate(_errors_by_dim(context.expected, context.actual)):
        if len(errors) < 2:
            continue
        right = errors <= context.allowed
        if not right.any() or right.all():
            continue
        worst_right, least_wrong = float(errors[right].max()), float(errors[~right].min())
        if least_wrong < CLEARLY * worst_right:
            continue
        wrong = torch.nonzero(~right).flatten().tolist()
        share = len(wrong) / len(errors)
        if best is None or share < best[0]:
            best = share, dim, wrong, worst_right, least_wrong
    if best is None:
        return None
    _, dim, wrong, worst_right, least_wrong = best
    size = context.expected.shape[dim]
    detail = (
        f"along dim {dim} {tell_indices(wrong, size)} of {size:,} are wrong (relative error {least_wrong:.2g}"
        f" or more), the others are right ({worst_right:.2g} or less)"
    )
    return Diagnosis(at=context.finding.pair.expected_name, kind="place", detail=detail)


def tell_indices(indices: Sequence[int], size: int) -> str:
    """`the last 12`, `index 3`, `every second`."""
    first, last, count = indices[0], indices[-1], len(indices)
    if count == 1:
        return f"only index {first}"
    if last - first + 1 == count:
        if last == size - 1:
            return f"only the last {count:,}"
        return f"only the first {count:,}" if first == 0 else f"only {first} to {last}"
    steps = {after - before for before, after in pairwise(indices)}
    if len(steps) == 1 and count > 2:
        step = steps.pop()
        nth = {2: "second", 3: "third"}.get(step, f"{step}{_suffix(step)}")
        return f"only every {nth} from {first} on"
    shown = ", ".join(str(index) for index in indices[:6])
    return f"only {count:,} ({shown}{', ...' if count > 6 else ''})"


def _errors_by_dim(expected: Tensor, actual: Tensor) -> list[Tensor]:
    """For each dim the relative error of each of its entries, over all other dims; NaN where one side has a
    NaN counts as infinitely wrong."""
    squares = [torch.zeros(size, dtype=torch.float64) for size in expected.shape]
    norms = [torch.zeros(size, dtype=torch.float64) for size in expected.shape]
    for dim, start, wanted, found in _chunks(expected, actual):
        same = (wanted == found) | (wanted.isnan() & found.isnan())
        distance = torch.where(same, 0.0, (found - wanted).abs()).nan_to_num(nan=torch.inf) ** 2
        square = wanted.abs().nan_to_num(nan=0.0, posinf=0.0) ** 2
        for axis in range(expected.ndim):
            others = [other for other in range(expected.ndim) if other != axis]
            begin = start if axis == dim else 0
            part = slice(begin, begin + wanted.shape[axis])
            squares[axis][part] += distance.sum(others) if others else distance
            norms[axis][part] += square.sum(others) if others else square
    return [
        torch.where(square > 0, (square / norm).sqrt(), 0.0)
        for square, norm in zip(squares, norms, strict=True)
    ]


def _chunks(expected: Tensor, actual: Tensor) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """The dim that is cut (the longest), where the part starts, and both parts in float64."""
    if not expected.ndim:
        return
    dim = max(range(expected.ndim), key=lambda axis: expected.shape[axis])
    size = expected.shape[dim]
    step = max(1, size * CHUNK_ELEMENTS // max(1, expected.numel()))
    for start in range(0, size, step):
        length = min(step, size - start)
        yield (
            dim,
            start,
            as_double(expected.narrow(dim, start, length)),
            as_double(actual.narrow(dim, start, length)),
        )


def _suffix(number: int) -> str:
    """Of an ordinal: `21st`, `112th`."""
    return "th" if 10 < number % 100 < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
