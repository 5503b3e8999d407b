"""Normalisations: which dims they compute statistics over, and which they only scale."""

__all__ = ["normalisation_rules"]

from typing import Any

from torch import Tensor

from outgrow.evolve.coupling.cutting import split_front
from outgrow.evolve.coupling.labels import Labels
from outgrow.evolve.coupling.trace import Trace, op_name


def _label_statistics(trace: Trace, results: tuple[Any, ...]) -> None:
    for tensor in results:
        if isinstance(tensor, Tensor):
            trace.label(tensor, trace.fresh(tensor, "is a statistic"))


def _scale(trace: Trace, tensors: tuple[Tensor | None, ...], x: Labels, dims: tuple[int, ...]) -> None:
    for tensor in tensors:
        if tensor is None:
            continue
        labels = trace.labels(tensor)
        trace.use_all(labels)
        for mine, dim in zip(labels.extents, dims, strict=True):
            trace.unify(mine, x.extents[dim])


def _batch_norm(
    trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], results: Any
) -> None:
    x = trace.labels(args[0])
    scaled = tuple(one for one in args[1:5] if isinstance(one, Tensor))
    _scale(trace, scaled, x, (1,))
    trace.label(results[0], Labels(extents=x.extents))
    _label_statistics(trace, results[1:])


def _layer_norm(
    trace: Trace, func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], results: Any
) -> None:
    x = trace.labels(args[0])
    dims = tuple(range(len(x.extents) - len(args[1]), len(x.extents)))
    for dim in dims:
        x.extents[dim].reduce(trace.module, op_name(func))
    _scale(trace, tuple(one for one in args[2:4] if isinstance(one, Tensor)), x, dims)
    outputs = results if isinstance(results, tuple) else (results,)
    trace.label(outputs[0], Labels(extents=x.extents))
    _label_statistics(trace, outputs[1:])


def _group_norm(
    trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], results: Any
) -> None:
    x = trace.labels(args[0])
    groups, inner = split_front(x.extents[1], args[6])
    trace.count("num_groups", groups)
    inner.reduce(trace.module, "native_group_norm")
    _scale(trace, tuple(args[1:3]), x, (1,))
    trace.label(results[0], Labels(extents=x.extents))
    _label_statistics(trace, results[1:])


def _along(trace: Trace, func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    """Softmax, cumulative sums: one statistic along a dim, every dim kept."""
    x = trace.labels(args[0])
    trace.use_all(x)
    if x.extents:  # torch takes a dim of a scalar, too
        x.extents[args[1]].reduce(trace.module, op_name(func))
    trace.label(result, Labels(extents=x.extents))


normalisation_rules: dict[str, Any] = {
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "_batch_norm_no_update": _batch_norm,
    "_batch_norm_with_update": _batch_norm,
    "batch_norm_with_update": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "miopen_batch_norm": _batch_norm,
    "native_layer_norm": _layer_norm,
    "_fused_rms_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "_softmax": _along,
    "_safe_softmax": _along,
    "_log_softmax": _along,
    "cumsum": _along,
    "cumprod": _along,
}
"""Private to the rules: the ops that normalise."""
