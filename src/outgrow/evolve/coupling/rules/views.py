"""Other looks at the same elements."""

__all__ = ["view_rules"]

from typing import Any

from torch import Tensor

from outgrow.evolve.coupling.cutting import bundle, regroup, repeated
from outgrow.evolve.coupling.labels import Labels
from outgrow.evolve.coupling.trace import Trace


def _same(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    trace.label(result, trace.labels(args[0]))


def _picked(x: Labels, order: list[int | None], result: Tensor) -> Labels:
    """Dims of `x` in another order; None for a new dim of one index."""
    extents = tuple(
        repeated(result.shape[place]) if dim is None else x.extents[dim] for place, dim in enumerate(order)
    )
    if x.weight is None:
        return Labels(extents=extents)
    return Labels(
        extents=extents, weight=x.weight, dims=tuple(None if dim is None else x.dims[dim] for dim in order)
    )


def _permute(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    trace.label(result, _picked(x, [dim % len(x.extents) for dim in args[1]], result))


def _transpose(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    order: list[int | None] = list(range(len(x.extents)))
    if order:
        one, two = (dim % len(order) for dim in (args[1:3] if len(args) > 2 else (0, -1)))
        order[one], order[two] = order[two], order[one]
    trace.label(result, _picked(x, order, result))


def _unsqueeze(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    order: list[int | None] = list(range(len(x.extents)))
    order.insert(args[1] % (len(order) + 1), None)
    trace.label(result, _picked(x, order, result))


def _squeeze(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x, shape = trace.labels(args[0]), args[0].shape
    given = args[1] if len(args) > 1 else range(len(shape))
    dims = (
        {dim % len(shape) for dim in ([given] if isinstance(given, int) else given)} if len(shape) else set()
    )
    trace.label(
        result, _picked(x, [dim for dim in range(len(shape)) if dim not in dims or shape[dim] != 1], result)
    )


def _expand(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x, shape = trace.labels(args[0]), args[0].shape
    new = result.dim() - len(shape)
    order: list[int | None] = [None] * new
    order += [dim if shape[dim] == result.shape[new + dim] else None for dim in range(len(shape))]
    trace.label(result, _picked(x, order, result))


def _view(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    origins = {id(factor): x.dims[dim] for dim in range(len(x.dims)) for factor in x.extents[dim].factors()}
    groups = regroup(x.extents, result.shape) if result.numel() else None
    if groups is None:
        trace.use_all(x)
        why = f"{trace.who} looks at {tuple(args[0].shape)} as {tuple(result.shape)}"
        x.frozen(why)
        trace.label(result, trace.fresh(result, why))
        return
    extents = tuple(bundle(group, size) for group, size in zip(groups, result.shape, strict=True))
    if x.weight is None:
        trace.label(result, Labels(extents=extents))
        return
    for dim in range(len(x.dims)):  # also of what was just taken apart
        origins.update({id(factor): x.dims[dim] for factor in x.extents[dim].factors()})
    dims = []
    for group in groups:
        found = {origins.get(id(factor.find())) for factor in group}
        dims.append(found.pop() if len(found) == 1 else None)
    trace.label(result, Labels(extents=extents, weight=x.weight, dims=tuple(dims)))


view_rules: dict[str, Any] = {
    "alias": _same,
    "detach": _same,
    "clone": _same,
    "contiguous": _same,
    "_to_copy": _same,
    "lift_fresh": _same,
    "lift_fresh_copy": _same,
    "detach_": _same,
    "requires_grad_": _same,
    "permute": _permute,
    "transpose": _transpose,
    "t": _transpose,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "expand": _expand,
    "view": _view,
    "_unsafe_view": _view,
    "_reshape_alias": _view,
    "reshape": _view,
}
"""Private to the rules: the ops that give the same elements in another shape or order of dims."""
