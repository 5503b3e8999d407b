"""Indices that tensors name: looking up, writing to, and sorting."""

__all__ = ["lookup_rules"]

from typing import Any

import torch
from torch import Tensor

from outgrow.evolve.coupling.cutting import cut
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.labels import Labels
from outgrow.evolve.coupling.trace import Trace


def _why(trace: Trace) -> str:
    return f"{trace.who} picks indices of it"


def _embedding(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    weight, places = trace.labels(args[0]), trace.labels(args[1])
    weight.extents[0].freeze("is a vocabulary")
    trace.use_all(weight)
    trace.label(result, Labels(extents=(*places.extents, weight.extents[1])))


def _embedding_bag(
    trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], results: Any
) -> None:
    weight = trace.labels(args[0])
    weight.extents[0].freeze("is a vocabulary")
    trace.use_all(weight)
    for tensor in results:
        trace.label(tensor, trace.fresh(tensor, "is a number of bags"))
    bags = trace.labels(results[0]).extents[0]
    trace.label(results[0], Labels(extents=(bags, weight.extents[1])))


def _index_select(
    trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any
) -> None:
    if not args[0].dim():
        trace.label(result, trace.fresh(result, _why(trace)))
        return
    given: list[Tensor | None] = [None] * (args[1] % args[0].dim())
    _index(trace, None, (args[0], [*given, args[2]]), {}, result)


def _index(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    given = [place for place, one in enumerate(args[1]) if one is not None]
    if len(given) == 1 and (piece := _piece(x.extents[given[0]], args[1][given[0]])) is not None:
        picked = [piece]
    else:
        for place in given:
            x.extents[place].freeze(_why(trace))
        behind = len(x.extents) - given[-1] - 1
        count = result.dim() - given[0] - behind
        picked = [Extent(size, frozen=_why(trace)) for size in result.shape[given[0] : given[0] + count]]
    if given != list(range(given[0], given[-1] + 1)) or any(
        one.dtype in (torch.bool, torch.uint8) for one in args[1] if one is not None
    ):
        trace.use_all(x)
        x.frozen(_why(trace))
        trace.label(result, trace.fresh(result, _why(trace)))
        return
    extents = (*x.extents[: given[0]], *picked, *x.extents[given[-1] + 1 :])
    none: list[int | None] = [None] * len(picked)
    dims = (*x.dims[: given[0]], *none, *x.dims[given[-1] + 1 :]) if x.weight is not None else ()
    trace.label(result, Labels(extents=extents, weight=x.weight, dims=dims))


def _piece(extent: Extent, index: Tensor) -> Extent | None:
    """The part of `extent` that a few neighbouring indices are, counted from the front or from the back."""
    if index.dim() != 1 or not 0 < len(index) <= 4 or index.dtype != torch.int64 or index.is_meta:
        return None
    places = [place % extent.size for place in index.tolist()]
    if places != list(range(places[0], places[0] + len(places))) or len(places) == extent.size:
        return None
    pieces = cut(extent, [places[0], len(places), extent.size - places[-1] - 1])
    return None if pieces is None else pieces[1]


def _index_put(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x, values = trace.labels(args[0]), trace.labels(args[2])
    trace.use_all(x)
    trace.use_all(values)
    given = [place for place, one in enumerate(args[1]) if one is not None]
    is_row = given == list(range(given[0], given[-1] + 1)) and all(
        one.dtype == torch.int64 for one in args[1] if one is not None
    )
    if not is_row or given[0] != 0:
        x.frozen(_why(trace))
        values.frozen(_why(trace))
    for place in given:
        x.extents[place].freeze(_why(trace))
    behind = x.extents[given[-1] + 1 :]
    for back, theirs in enumerate(reversed(values.extents)):
        if back < len(behind):
            if theirs.size == behind[-1 - back].size:
                trace.unify(theirs, behind[-1 - back])
        else:
            theirs.freeze(_why(trace))
    trace.label(result, Labels(extents=x.extents))


def _gather(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x, index = trace.labels(args[0]), trace.labels(args[2])
    trace.use_all(x)
    if not x.extents:
        trace.label(result, trace.fresh(result, _why(trace)))
        return
    dim = args[1] % len(x.extents)
    _meet(trace, x, index, dim)
    trace.label(result, Labels(extents=index.extents))


def _scatter(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    for tensor in (one for one in args[2:4] if isinstance(one, Tensor)):
        labels = trace.labels(tensor)
        trace.use_all(labels)
        if labels.extents and x.extents:
            dim = args[1] % len(x.extents)
            _meet(trace, x, labels, dim)
            labels.extents[dim].freeze(_why(trace))
    trace.label(result, Labels(extents=x.extents))


def _meet(trace: Trace, x: Labels, index: Labels, dim: int) -> None:
    """Every dim of both is the same one but `dim`, along which indices are named."""
    x.extents[dim].freeze(_why(trace))
    for place, (mine, theirs) in enumerate(zip(x.extents, index.extents, strict=True)):
        if place == dim:
            continue
        if mine.size == theirs.size:
            trace.unify(mine, theirs)
        else:
            mine.freeze(_why(trace))
            theirs.freeze(_why(trace))


def _index_add(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    if args[3].dim() == args[0].dim() > 0:
        source = trace.labels(args[3])
        trace.use_all(source)
        dim = args[1] % len(x.extents)
        _meet(trace, x, source, dim)
        source.extents[dim].freeze(_why(trace))
    elif x.extents:
        x.extents[args[1] % len(x.extents)].freeze(_why(trace))
    trace.label(result, Labels(extents=x.extents))


def _ranked(trace: Trace, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], results: Any) -> None:
    """Sorting: the dim keeps no index where it was."""
    x = trace.labels(args[0])
    trace.use_all(x)
    place = {"topk": 2, "kthvalue": 2}.get(func._schema.name.removeprefix("aten::"), 1)
    numbers = [one for one in args[1:] if isinstance(one, int) and not isinstance(one, bool)]
    given = kwargs.get("dim", numbers[place - 1] if len(numbers) >= place else -1)
    dim = given % max(len(x.extents), 1)
    why = f"{trace.who} sorts it"
    if x.extents:
        x.extents[dim].freeze(why)
    for tensor in results if isinstance(results, tuple) else (results,):
        if tensor.dim() != len(x.extents):
            x.frozen(why)
            trace.label(tensor, trace.fresh(tensor, why))
            continue
        fresh = trace.fresh(tensor, why).extents
        trace.label(
            tensor,
            Labels(extents=tuple(fresh[one] if one == dim else x.extents[one] for one in range(len(fresh)))),
        )


lookup_rules: dict[str, Any] = {
    "embedding": _embedding,
    "_embedding_bag": _embedding_bag,
    "_embedding_bag_forward_only": _embedding_bag,
    "index_select": _index_select,
    "index": _index,
    "index_put": _index_put,
    "index_put_": _index_put,
    "_unsafe_index": _index,
    "gather": _gather,
    "scatter": _scatter,
    "scatter_": _scatter,
    "scatter_add": _scatter,
    "scatter_add_": _scatter,
    "index_add": _index_add,
    "index_add_": _index_add,
    "index_copy": _index_add,
    "index_copy_": _index_add,
    "topk": _ranked,
    "sort": _ranked,
    "argsort": _ranked,
    "kthvalue": _ranked,
}
"""Private to the rules: the ops that name indices."""
