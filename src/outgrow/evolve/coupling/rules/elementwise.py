"""Ops that treat every element apart: dims that meet become one."""

__all__ = ["ELEMENTWISE", "UNIFORM", "follow_elementwise"]

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


ELEMENTWISE = frozenset(
    {
        "_conj",
        "_conj_physical",
        "_neg_view",
        "_prelu_kernel",
        "bernoulli",
        "bernoulli_",
        "celu",
        "complex",
        "copy",
        "copy_",
        "empty_like",
        "exponential_",
        "fill",
        "fill_",
        "full_like",
        "hardshrink",
        "log_sigmoid_forward",
        "masked_fill",
        "masked_fill_",
        "nan_to_num",
        "native_dropout",
        "native_dropout_backward",
        "normal_",
        "ones_like",
        "polar",
        "rand_like",
        "randn_like",
        "random_",
        "resolve_conj",
        "resolve_neg",
        "rrelu_with_noise",
        "uniform_",
        "zero_",
        "zeros_like",
    }
)
"""Ops that treat every element apart, though torch does not tag them so."""

UNIFORM = frozenset(
    {
        "empty",
        "empty_strided",
        "full",
        "new_empty",
        "new_empty_strided",
        "new_full",
        "new_ones",
        "new_zeros",
        "ones",
        "zeros",
    }
)
"""Ops that make a tensor in which every index holds the same, or nothing yet."""
