"""Products that sum over a dim: matrix products, convolutions, attention."""

__all__ = ["contraction_rules"]

from typing import Any

from torch import Tensor

from outgrow.evolve.coupling.cutting import split_front
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.labels import Labels
from outgrow.evolve.coupling.trace import Trace


def _mm(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    _matrix_product(trace, args[0], args[1], result)


def _addmm(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    _matrix_product(trace, args[1], args[2], result)
    _add(trace, args[0], result)


def _matrix_product(trace: Trace, one: Tensor, two: Tensor, result: Tensor) -> None:
    left, right = trace.labels(one), trace.labels(two)
    trace.contract(left, 1, right, 0)
    trace.use(left, 0, "out")
    trace.use(right, 1, "out")
    trace.label(result, Labels(extents=(left.extents[0], right.extents[1])))


def _bmm(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    _batched_product(trace, args[0], args[1], result)


def _baddbmm(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    _batched_product(trace, args[1], args[2], result)
    _add(trace, args[0], result)


def _batched_product(trace: Trace, one: Tensor, two: Tensor, result: Tensor) -> None:
    left, right = trace.labels(one), trace.labels(two)
    trace.unify(left.extents[0], right.extents[0])
    trace.contract(left, 2, right, 1)
    for labels, other in ((left, 1), (right, 2)):
        trace.use(labels, 0, "out")
        trace.use(labels, other, "out")
    trace.label(result, Labels(extents=(left.extents[0], left.extents[1], right.extents[2])))


def _mv(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    left, right = trace.labels(args[0]), trace.labels(args[1])
    trace.contract(left, 1, right, 0)
    trace.use(left, 0, "out")
    trace.label(result, Labels(extents=(left.extents[0],)))


def _addmv(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    _mv(trace, _func, args[1:], {}, result)
    _add(trace, args[0], result)


def _dot(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    trace.contract(trace.labels(args[0]), 0, trace.labels(args[1]), 0)
    trace.label(result, Labels(extents=()))


def _grouped_mm(trace: Trace, _func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """Rows of the first matrix, each times one of several matrices: the experts of a mixture."""
    one, two = trace.labels(args[0]), trace.labels(args[1])
    if len(one.extents) != 2 or len(two.extents) != 3:
        why = f"{trace.who} multiplies groups of it"
        one.frozen(why)
        two.frozen(why)
        trace.label(result, trace.fresh(result, why))
        return
    trace.contract(one, 1, two, 1)
    trace.use(one, 0, "out")
    trace.use(two, 0, "out")
    trace.use(two, 2, "out")
    trace.label(result, Labels(extents=(one.extents[0], two.extents[2])))
    bias = kwargs.get("bias")
    if isinstance(bias, Tensor):
        _add(trace, bias, result)


def _add(trace: Trace, addend: Tensor, result: Tensor) -> None:
    labels, known = trace.labels(addend), trace.labels(result)
    trace.use_all(labels)
    for mine, theirs in zip(reversed(labels.extents), reversed(known.extents), strict=False):
        if mine.size == theirs.size:
            trace.unify(mine, theirs)


def _convolution(
    trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any
) -> None:
    inputs, weight, bias = args[:3]
    is_transposed, groups = args[6], args[8]
    x, w = trace.labels(inputs), trace.labels(weight)
    if groups == 1:
        into, out = (0, 1) if is_transposed else (1, 0)
        trace.contract(x, 1, w, into)
        trace.use(w, out, "out")
        channels = w.extents[out]
    else:
        channels = _grouped(trace, x, w, groups, is_transposed=is_transposed)
    for dim in range(2, len(w.extents)):
        w.extents[dim].freeze("is the size of a kernel")
        x.extents[dim].freeze("is a place of the inputs")  # also where channels were turned into places
    if bias is not None:
        b = trace.labels(bias)
        trace.use_all(b)
        trace.unify(b.extents[0], channels)
    spatial = [Extent(size, frozen="is a place of the inputs") for size in result.shape[2:]]
    trace.label(result, Labels(extents=(x.extents[0], channels, *spatial)))


def _grouped(trace: Trace, x: Labels, w: Labels, groups: int, *, is_transposed: bool) -> Extent:
    """The channels that a grouped convolution gives; groups are copied whole, within one there is a sum."""
    whole, inner = split_front(x.extents[1], groups)
    weight_groups, rest = split_front(w.extents[0], groups)
    trace.unify(whole, weight_groups)
    trace.count("groups", weight_groups)
    trace.use(w, 0, "out", weight_groups)
    into, within = (rest, w.extents[1]) if is_transposed else (w.extents[1], rest)
    into_dim, within_dim = (0, 1) if is_transposed else (1, 0)
    trace.unify(inner, into)
    if w.weight is None:
        inner.freeze(f"{trace.who} multiplies two activations over it")
    if inner.size > 1:
        trace.use(w, into_dim, "in", into)
    trace.use(w, within_dim, "out", within)
    if within.size == 1:
        return weight_groups
    channels = Extent(groups * within.size)
    channels.refine("product", (weight_groups, within))
    return channels


def _attention(trace: Trace, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    q, k, v = (trace.labels(one) for one in args[:3])
    trace.unify(q.extents[0], k.extents[0])
    trace.unify(q.extents[0], v.extents[0])
    # Grouped queries: the heads of q are the heads of k, each several times.
    heads = split_front(q.extents[1], k.extents[1].size)[0]
    trace.unify(heads, k.extents[1])
    trace.unify(heads, v.extents[1])
    for labels in (q, k, v):
        trace.use_all(labels)
        labels.extents[2].freeze("is a place of the sequence")
        labels.extents[-1].freeze(f"{trace.who} multiplies two activations over it")
    others = [one for one in (*args[3:], *kwargs.values()) if isinstance(one, Tensor)]
    for mask in others:
        labels = trace.labels(mask)
        trace.use_all(labels)
        for extent in labels.extents[-2:]:
            extent.freeze("is a place of the sequence")
        for mine, theirs in zip(reversed(labels.extents[:-2]), reversed(q.extents[:2]), strict=False):
            if mine.size == theirs.size:
                trace.unify(mine, theirs)
    outputs = list(result) if isinstance(result, tuple) else [result]
    for place, tensor in enumerate(outputs):
        if not isinstance(tensor, Tensor):
            continue
        if place == 0:
            trace.label(tensor, Labels(extents=(*q.extents[:3], v.extents[3])))
        else:
            trace.label(tensor, trace.fresh(tensor, "belongs to attention"))


contraction_rules: dict[str, Any] = {
    "mm": _mm,
    "addmm": _addmm,
    "bmm": _bmm,
    "baddbmm": _baddbmm,
    "mv": _mv,
    "addmv": _addmv,
    "dot": _dot,
    "vdot": _dot,
    "_grouped_mm": _grouped_mm,
    "convolution": _convolution,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_cudnn_attention": _attention,
}
"""Private to the rules: the ops that sum over a dim."""
