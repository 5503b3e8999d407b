"""All rows of a comparison as columns: small to send, quick to draw."""

__all__ = ["STATUSES", "rows_of"]

import math
from typing import Any

from outgrow.capture.recording import Record
from outgrow.compare.comparison import Comparison

STATUSES = ("ok", "differs", "inherited", "healed", "only expected", "only actual", "refused")
"""By their number in the column `status`."""


class _Words:
    """Texts by their number, each once."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}

    def __getitem__(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))


def rows_of(comparison: Comparison) -> dict[str, Any]:
    """The rows of the API. Pairs come first, in order of execution: a pair's row is its index among the
    findings; then what only one side has."""
    stages, dtypes, shapes = _Words(), _Words(), _Words()
    rows: dict[str, list[Any]] = {
        name: []
        for name in (
            "expected",
            "actual",
            "status",
            "layer",
            "stage",
            "dtype",
            "shape",
            "error",
            "max_abs",
            "order",
        )
    }

    def add(record: Record, **values: Any) -> None:
        values["dtype"] = dtypes[str(record.dtype).removeprefix("torch.")]
        for name, column in rows.items():
            column.append(values.get(name))

    for index, finding in enumerate(comparison.findings):
        pair, measures = finding.pair, finding.measures
        add(
            pair.expected,
            expected=pair.expected_name,
            actual=pair.actual_name,
            status=STATUSES.index(finding.judged.status),
            layer=pair.layer,
            stage=stages[pair.stage],
            shape=shapes[_shape(measures.shape if measures else pair.expected.shape)],
            error=None if measures is None else number_of(measures.relative_error),
            max_abs=None if measures is None else number_of(measures.max_abs),
            order=index,
        )
    pairing = comparison.pairing
    for side, records in (("expected", pairing.unpaired_expected), ("actual", pairing.unpaired_actual)):
        for record in records:
            add(
                record,
                **{side: record.name},
                status=STATUSES.index(f"only {side}"),
                stage=stages[""],
                shape=shapes[_shape(record.shape)],
            )
    tables = {"stages": [*stages.texts], "dtypes": [*dtypes.texts], "shapes": [*shapes.texts]}
    return {"count": len(rows["status"]), **rows, **tables}


def number_of(value: float | None) -> float | str | None:
    """JSON has no numbers that are not finite: those are texts."""
    if value is None or math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
