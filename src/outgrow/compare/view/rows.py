"""All rows of a comparison as columns: small to send, quick to draw."""

__all__ = ["STATUSES", "rows_of"]

from typing import Any

import torch

from outgrow.capture.recording import Record, Refusal
from outgrow.compare.comparison import Comparison
from outgrow.compare.finding import Finding
from outgrow.compare.pair import Lone
from outgrow.compare.view.listing import Listing
from outgrow.compare.view.plain import number_of, shown

STATUSES = ("ok", "differs", "inherited", "healed", "only expected", "only actual", "refused")
"""By their number in the column `status`."""

_COLUMNS = (
    "expected", "actual", "status", "layer", "stage", "dtype", "shape", "error", "max_abs", "order",
)  # fmt: skip
_number_of_status = {status: number for number, status in enumerate(STATUSES)}


def rows_of(comparison: Comparison) -> dict[str, Any]:
    """The rows of the API, in the order of `Listing`."""
    tables, order = _Tables(), 0
    # By columns from the beginning: a tuple kept for each row would set the garbage collector to work.
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    add = [column.append for column in columns.values()]
    for entry in Listing(comparison):
        if isinstance(entry, Finding):
            row = _pair(entry, order, tables)
            order += 1
        else:
            row = _lone(entry, tables)
        for put, value in zip(add, row, strict=True):
            put(value)
    return {
        "count": len(columns["status"]),
        **columns,
        "stages": [shown(stage) for stage in tables.stages],
        "dtypes": [str(dtype).removeprefix("torch.") if dtype is not None else "" for dtype in tables.dtypes],
        "shapes": ["" if shape is None else _shape_text(shape) for shape in tables.shapes],
    }


class _Tables:
    """Values by their number, each once."""

    def __init__(self) -> None:
        self.stages: dict[str, int] = {}
        self.dtypes: dict[torch.dtype | None, int] = {}
        self.shapes: dict[tuple[int, ...] | None, int] = {}

    def numbers(
        self, stage: str, dtype: torch.dtype | None, shape: tuple[int, ...] | None
    ) -> tuple[int, int, int]:
        return (
            self.stages.setdefault(stage, len(self.stages)),
            self.dtypes.setdefault(dtype, len(self.dtypes)),
            self.shapes.setdefault(shape, len(self.shapes)),
        )


def _pair(finding: Finding, order: int, tables: _Tables) -> tuple[Any, ...]:
    pair, measures = finding.pair, finding.measures
    here, there = pair.expected_name, pair.actual_name
    name = shown(here)
    return (
        name,
        name if here == there else shown(there),
        _number_of_status[finding.judged.status],
        pair.layer,
        *tables.numbers(pair.stage, pair.expected.dtype, measures.shape if measures else pair.expected.shape),
        None if measures is None else number_of(measures.relative_error),
        None if measures is None else number_of(measures.max_abs),
        order,
    )


def _lone(lone: Lone, tables: _Tables) -> tuple[Any, ...]:
    entry = lone.expected or lone.actual
    is_refused = isinstance(entry, Refusal)
    status = "refused" if is_refused else "only actual" if lone.expected is None else "only expected"
    dtype, shape = (entry.dtype, entry.shape) if isinstance(entry, Record) else (None, None)
    return (
        None if lone.expected is None else name_of(lone.expected),
        None if lone.actual is None else name_of(lone.actual),
        _number_of_status[status],
        lone.layer,
        *tables.numbers(lone.stage, dtype, shape),
        None,
        None,
        None,
    )


def name_of(entry: Record | Refusal) -> str:
    """As people are shown it."""
    return shown(entry.entry if isinstance(entry, Refusal) else entry.name)


def _shape_text(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
