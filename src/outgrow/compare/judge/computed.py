"""In which precision a run computed, where its dump says otherwise: bfloat16 saved as float32, for numpy."""

__all__ = ["Precision", "as_computed", "find_precisions", "is_too_fine", "is_unseen"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from outgrow.compare.judge.judgement import Measured
from outgrow.compare.measures import Measures
from outgrow.compare.sample import SampleFigures

_FEWEST_PAIRS = 4
_FEWEST_ELEMENTS = 64
_DIGITS = {torch.bfloat16: 8, torch.float16: 11}
"""Significant bits of the dtypes that runs compute in and numpy or others cannot save, the coarsest first."""
_WIDE = (torch.float32, torch.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """What the numbers of one side show."""

    side: Literal["expected", "actual"]
    computed: torch.dtype
    """All numbers fit in it."""
    stored: torch.dtype
    """The coarsest dtype in which they were saved."""

    def __str__(self) -> str:
        names = [str(dtype).removeprefix("torch.") for dtype in (self.computed, self.stored)]
        return f"the {self.side} run computed in {names[0]}: all its numbers fit, though saved as {names[1]}"


def find_precisions(measured: Sequence[Measured]) -> tuple[Precision, ...]:
    """Sides whose every tensor that was looked at is coarser than its dtype.

    One tensor that is coarse among others that are not is a fault and no precision; so are the coarse ones
    after the first that is not.
    """
    found = []
    for side in ("expected", "actual"):
        seen = [
            digits
            for pair in measured
            if pair.kind != "parameters" and pair.measures is not None
            if (digits := _digits(pair.measures, side)) is not None
        ]
        stored = {
            _dtype(pair.measures, side)
            for pair in measured
            if pair.kind != "parameters" and pair.measures is not None and pair.measures.sample is not None
        }
        floats = [dtype for dtype in stored if dtype.is_floating_point]
        if len(seen) < _FEWEST_PAIRS or not floats or not set(floats) <= set(_WIDE):
            continue
        computed = next((dtype for dtype, most in _DIGITS.items() if max(seen) <= most), None)
        if computed is not None:
            coarsest = max(floats, key=lambda dtype: torch.finfo(dtype).eps)
            found.append(Precision(side=side, computed=computed, stored=coarsest))
    return tuple(found)


def is_unseen(row: Measured, precision: Precision) -> bool:
    """Whether it could speak against it, but is equal on both sides, so that nobody looked at its digits."""
    measures = row.measures
    return (
        row.kind != "parameters"
        and measures is not None
        and measures.sample is None
        and _dtype(measures, precision.side) in _WIDE
    )


def is_too_fine(sample: SampleFigures, precision: Precision) -> bool:
    """Whether a tensor of that side speaks against it."""
    digits = sample.expected_digits if precision.side == "expected" else sample.actual_digits
    return sample.elements >= _FEWEST_ELEMENTS and digits is not None and digits > _DIGITS[precision.computed]


def as_computed(measured: Sequence[Measured], precisions: Sequence[Precision]) -> list[Measured]:
    """The same, with the dtypes in which the runs computed."""
    rows = list(measured)
    for precision in precisions:
        rows = [_as_computed(row, precision) for row in rows]
    return rows


def _as_computed(row: Measured, precision: Precision) -> Measured:
    if row.kind == "parameters" or row.measures is None:
        return row
    if _dtype(row.measures, precision.side) not in _WIDE:
        return row
    if precision.side == "expected":
        return replace(row, measures=replace(row.measures, expected_dtype=precision.computed))
    return replace(row, measures=replace(row.measures, actual_dtype=precision.computed))


def _digits(measures: Measures, side: str) -> int | None:
    """Of a tensor with enough numbers to tell; None where they are equal, so that nobody looked at them."""
    seen = measures.sample
    if seen is None or seen.elements < _FEWEST_ELEMENTS:
        return None
    return seen.expected_digits if side == "expected" else seen.actual_digits


def _dtype(measures: Measures, side: str) -> torch.dtype:
    return measures.expected_dtype if side == "expected" else measures.actual_dtype
