"""Parts of a tensor, and tensors put together."""

__all__ = ["selection_rules"]

from typing import Any

from torch import Tensor

from outgrow.evolve.coupling.cutting import chain, cut, repeated
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.labels import Labels
from outgrow.evolve.coupling.trace import Trace


def _pieces(trace: Trace, tensor: Tensor, dim: int, sizes: list[int]) -> list[Labels]:
    x = trace.labels(tensor)
    dim %= len(x.extents)
    pieces = cut(x.extents[dim], sizes)
    if pieces is None:
        why = f"{trace.who} cuts it into {sizes}"
        x.extents[dim].freeze(why)
        pieces = [Extent(size, frozen=why) for size in sizes]
    return [
        Labels(extents=(*x.extents[:dim], piece, *x.extents[dim + 1 :]), weight=x.weight, dims=x.dims)
        for piece in pieces
    ]


def _split(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], results: Any) -> None:
    dim = args[2] if len(args) > 2 else 0
    sizes = [one.shape[dim] for one in results]
    labels = _pieces(trace, args[0], dim, sizes)
    for tensor, each in zip(results, labels, strict=True):
        trace.label(tensor, each)
        if isinstance(args[1], int) and tensor.shape[dim] == labels[0].extents[dim].size:
            # Pieces of one size stay of one size.
            trace.unify(labels[0].extents[dim], each.extents[dim])


def _slice(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    dim = (args[1] if len(args) > 1 else 0) % len(x.extents)
    size = args[0].shape[dim]
    if result.shape[dim] == size:
        trace.label(result, x)
        return
    if (args[4] if len(args) > 4 else 1) != 1:
        trace.use_all(x)
        why = f"{trace.who} takes every so-many-th of it"
        x.extents[dim].freeze(why)
        piece = Extent(result.shape[dim], frozen=why)
        trace.label(result, Labels(extents=(*x.extents[:dim], piece, *x.extents[dim + 1 :])))
        return
    start = args[2] if len(args) > 2 and args[2] is not None else 0
    start = max(0, min(size, start + size if start < 0 else start))
    taken = int(result.shape[dim])
    trace.label(result, _pieces(trace, args[0], dim, [start, taken, size - start - taken])[1])


def _select(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    dim = args[1] % len(x.extents)
    x.extents[dim].freeze(f"{trace.who} takes one index of it")
    rest = (*x.extents[:dim], *x.extents[dim + 1 :])
    dims = (*x.dims[:dim], *x.dims[dim + 1 :])
    trace.label(result, Labels(extents=rest, weight=x.weight, dims=dims))


def _unbind(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], results: Any) -> None:
    for result in results:
        _select(trace, _func, (args[0], args[1] if len(args) > 1 else 0), {}, result)


def _stack(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    dim = (args[1] if len(args) > 1 else 0) % result.dim()
    labels = [trace.labels(one) for one in args[0]]
    for each in labels:
        trace.use_all(each)
        for mine, theirs in zip(labels[0].extents, each.extents, strict=True):
            trace.unify(mine, theirs)
    count = Extent(result.shape[dim], frozen="is a number of tensors")
    trace.label(result, Labels(extents=(*labels[0].extents[:dim], count, *labels[0].extents[dim:])))


def _glu(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    dim = (args[1] if len(args) > 1 else -1) % result.dim()
    first, second = _pieces(trace, args[0], dim, [result.shape[dim]] * 2)
    for each in (first, second):
        trace.use_all(each)
    trace.unify(first.extents[dim], second.extents[dim])
    trace.label(result, Labels(extents=first.extents))


def _cat(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    tensors = [one for one in args[0] if one.dim() == result.dim() and one.numel()] or [result]
    dim = (args[1] if len(args) > 1 else 0) % result.dim()
    labels = [trace.labels(one) for one in tensors]
    for each in labels:
        trace.use_all(each)
        for place, extent in enumerate(each.extents):
            if place != dim:
                trace.unify(labels[0].extents[place], extent)
    whole = chain([each.extents[dim] for each in labels], result.shape[dim])
    trace.label(result, Labels(extents=(*labels[0].extents[:dim], whole, *labels[0].extents[dim + 1 :])))


def _pad(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    extents = list(x.extents)
    for back in range(len(args[1]) // 2):
        before, after = args[1][2 * back : 2 * back + 2]
        dim = len(extents) - 1 - back
        if before < 0 or after < 0:
            extents[dim].freeze(f"{trace.who} cuts it")
            extents[dim] = Extent(result.shape[dim], frozen="was cut")
        elif before or after:
            sides = [Extent(size, frozen="is padding") if size else None for size in (before, after)]
            parts = [part for part in (sides[0], extents[dim], sides[1]) if part is not None]
            extents[dim] = chain(parts, result.shape[dim])
    trace.label(result, Labels(extents=tuple(extents)))


def _roll(trace: Trace, func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    # `roll(x, shifts)` without dims moves through all of them; `flip(x, dims)` always says which.
    dims = args[-1] if len(args) == 3 or "flip" in func._schema.name else ()
    for dim in dims or range(len(x.extents)):
        x.extents[dim].freeze(f"{trace.who} moves its indices")
    trace.label(result, Labels(extents=x.extents))


def _repeat(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    new = result.dim() - len(x.extents)
    extents = []
    for place, times in enumerate(args[1]):
        own = x.extents[place - new] if place >= new else Extent(1, frozen="has one index only")
        if times == 1:
            extents.append(own)
        elif own.size == 1:
            extents.append(repeated(times))
        else:
            made = Extent(result.shape[place])
            made.refine("product", (repeated(times), own))
            extents.append(made)
    trace.label(result, Labels(extents=tuple(extents)))


selection_rules: dict[str, Any] = {
    "split": _split,
    "split_with_sizes": _split,
    "slice": _slice,
    "select": _select,
    "unbind": _unbind,
    "cat": _cat,
    "stack": _stack,
    "glu": _glu,
    "constant_pad_nd": _pad,
    "roll": _roll,
    "flip": _roll,
    "repeat": _repeat,
}
"""Private to the rules: the ops that cut and join."""
