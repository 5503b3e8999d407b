"""Ops that treat every element apart: dims that meet become one."""

__all__ = ["follow_elementwise"]

from torch import Tensor

from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.labels import Labels
from outgrow.evolve.coupling.trace import Trace


def follow_elementwise(trace: Trace, inputs: list[Tensor], outputs: list[Tensor]) -> None:
    """Broadcast from the last dim on; dims of one index that are repeated have no part in it."""
    labels = [trace.labels(one) for one in inputs]
    for each in labels:
        trace.use_all(each)
    for tensor in outputs:
        trace.label(tensor, Labels(extents=tuple(_extents(trace, labels, tensor))))


def _extents(trace: Trace, labels: list[Labels], output: Tensor) -> list[Extent]:
    extents = []
    for back in range(output.dim(), 0, -1):
        size = output.shape[-back]
        met = [
            each.extents[-back]
            for each in labels
            if len(each.extents) >= back and each.extents[-back].size == size
        ]
        for other in met[1:]:
            trace.unify(met[0], other)
        extents.append(met[0] if met else Extent(size, frozen="is made within the model"))
    return extents
