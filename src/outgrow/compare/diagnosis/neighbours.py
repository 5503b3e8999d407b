"""Tensors of one shape that were computed shortly before."""

__all__ = ["earlier_tensors"]

from collections.abc import Iterator

from torch import Tensor

from outgrow.compare.diagnosis.context import Context
from outgrow.compare.finding import Finding

MAX_BEFORE = 12


def earlier_tensors(context: Context) -> Iterator[tuple[Finding, Tensor, Tensor]]:
    """The nearest activations before this one that have its shape: the finding, and the same part of its
    actual and its expected tensor."""
    shape = context.finding.measures.shape if context.finding.measures is not None else None
    found = 0
    for finding in reversed(context.before):
        if finding.pair.expected.kind not in ("outputs", "inputs", "tensor"):
            continue
        if finding.measures is None or finding.measures.shape != shape:
            continue
        actual, expected = context.read(finding)
        yield finding, context.window_of(actual), context.window_of(expected)
        found += 1
        if found == MAX_BEFORE:
            return
