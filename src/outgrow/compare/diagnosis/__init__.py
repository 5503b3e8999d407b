"""Diagnoses: what probably happened where two runs part. Only with evidence, in figures."""

__all__ = ["DIAGNOSERS", "Diagnosis", "diagnose"]

import math
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from outgrow.compare.diagnosis import (
    bad_element,
    channel_factor,
    channel_offset,
    constant_factor,
    dtype_downgrade,
    misplaced,
    missing_all_reduce,
    missing_term,
    nan_born,
    permutation,
    place,
    rotation,
    row_factor,
    row_offset,
    shift,
    transposed,
    unchanged,
    wrong_rank_order,
)
from outgrow.compare.diagnosis.context import Context
from outgrow.compare.diagnosis.diagnosis import Diagnosis
from outgrow.compare.diagnosis.examination import choose, prepare
from outgrow.compare.finding import Finding

DIAGNOSERS: Mapping[str, Callable[[Context], Diagnosis | None]] = {
    "nan_born": nan_born.diagnose,
    "bad_element": bad_element.diagnose,
    "constant_factor": constant_factor.diagnose,
    "wrong_rank_order": wrong_rank_order.diagnose,
    "missing_all_reduce": missing_all_reduce.diagnose,
    "shift": shift.diagnose,
    "permutation": permutation.diagnose,
    "transposed": transposed.diagnose,
    "rotation": rotation.diagnose,
    "unchanged": unchanged.diagnose,
    "misplaced": misplaced.diagnose,
    "missing_term": missing_term.diagnose,
    "channel_factor": channel_factor.diagnose,
    "row_factor": row_factor.diagnose,
    "channel_offset": channel_offset.diagnose,
    "row_offset": row_offset.diagnose,
    "dtype_downgrade": dtype_downgrade.diagnose,
    "place": place.diagnose,
}
"""By kind, the most telling first."""
COVERS: Mapping[str, frozenset[str]] = {
    "bad_element": frozenset({"place", "channel_factor", "row_factor"}),
    "constant_factor": frozenset({"rotation", "channel_factor", "row_factor", "missing_term"}),
    "wrong_rank_order": frozenset({"permutation"}),
    "shift": frozenset({"permutation"}),
    "unchanged": frozenset({"missing_term"}),
}
"""Kinds that say nothing more once another one has been found: they hold, because that one does."""
FOR_FEW = frozenset({"constant_factor"})
"""Kinds that can be told from fewer than `MIN_ELEMENTS` numbers."""
FOR_UNLIKE = frozenset({"nan_born", "place"})
"""Kinds that can be told where NaN or infinities stand against numbers."""
MIN_ELEMENTS = 16


def diagnose(
    findings: Sequence[Finding],
    *,
    read: Callable[[Finding], tuple[Tensor, Tensor]],
    limit: int = 3,
) -> tuple[Diagnosis, ...]:
    """What probably happened at the pairs that went wrong by themselves, at most `limit` of them.

    `read` gives the actual tensor, laid out, and the expected one. Findings are in order of execution.

    Raises:
        StoreError: the bytes of a tensor cannot be read.
    """
    diagnoses = []
    for index in choose(findings, limit):
        context = prepare(findings, index, read)
        if context is None:
            continue
        covered: set[str] = set()
        for kind, find in DIAGNOSERS.items():
            if kind in covered or not _can_tell(kind, context):
                continue
            found = find(context)
            if found is not None:
                diagnoses.append(found)
                covered |= COVERS.get(kind, frozenset())
    return tuple(diagnoses)


def _can_tell(kind: str, context: Context) -> bool:
    measures = context.finding.measures
    if measures is None or context.expected.is_complex() or context.actual.is_complex():
        return kind in FOR_UNLIKE
    if math.isinf(measures.max_abs):
        return kind in FOR_UNLIKE
    return measures.elements >= MIN_ELEMENTS or kind in FOR_FEW
