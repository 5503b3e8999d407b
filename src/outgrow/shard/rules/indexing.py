"""Picking and placing elements by index tensors."""

__all__ = [
    "gather_rows",
    "index_put_rows",
    "index_rows",
    "index_select_rows",
    "index_write_rows",
    "place_index_rows",
    "scatter_rows",
]

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from outgrow.placement import Placement, Shard
from outgrow.shard.instructions import Template
from outgrow.shard.ranks.kernels import Kernel
from outgrow.shard.ranks.pieces import piece_bounds
from outgrow.shard.rules.arguments import Slot, bound, packet_of, position
from outgrow.shard.rules.cuts import cuts, is_float, linear_rows, pick
from outgrow.shard.rules.row import SUM, WHOLE, Row


def gather_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`gather(self, dim, index)`: other dims; the index alone along its dim; the picked dim with others'
    entries masked.
    """
    shape, wanted = template.inputs[0].shape, template.inputs[1].shape
    if not shape or not wanted:
        return ()
    dim = position(bound(template)["dim"], len(shape))
    found = [
        Row((Shard(other), Shard(other)), (Shard(other),))
        for other, size in enumerate(shape)
        if other != dim and wanted[other] == size and cuts(size, world_size)
    ]
    if cuts(wanted[dim], world_size):
        found.append(Row((WHOLE, Shard(dim)), (Shard(dim),)))
    if cuts(shape[dim], world_size) and is_float(template.inputs[0]):
        found.append(Row((Shard(dim), WHOLE), (SUM,), _masked(template, dim, _gather)))
    return (*found, *linear_rows(template, ((0,),)))


def _gather(whole: Tensor, dim: int, index: Tensor, is_own: Tensor) -> Tensor:
    return whole.gather(dim, index).masked_fill_(~is_own, 0)


def _select(whole: Tensor, dim: int, index: Tensor, is_own: Tensor) -> Tensor:
    made = whole.index_select(dim, index)
    return made.masked_fill_(~is_own.reshape((-1, *(1,) * (whole.dim() - 1 - dim))), 0)


def _masked(
    template: Template, dim: int, look_up: Callable[[Tensor, int, Tensor, Tensor], Tensor]
) -> Callable[[int, int, torch.device], Kernel]:
    """Look up what is in the rank's piece; zeros for what is not."""
    size, out = template.inputs[0].shape[dim], template.outputs[0]

    def make(rank: int, world_size: int, device: torch.device) -> Kernel:
        start, stop = piece_bounds(size, rank, world_size)

        def kernel(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
            piece, index = inputs
            if index.numel() and not bool(((index >= 0) & (index < size)).all()):
                raise IndexError(f"index out of range: dim {dim} has {size} entries")
            if start == stop:
                return (torch.zeros(out.shape, dtype=out.dtype, device=piece.device),)
            is_own = (index >= start) & (index < stop)
            return (look_up(piece, dim, torch.where(is_own, index - start, 0), is_own),)

        return kernel

    return make


def index_select_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`index_select(self, dim, index)`: as `gather`."""
    shape, wanted = template.inputs[0].shape, template.inputs[1].shape
    if not shape or len(wanted) != 1:
        return ()
    dim = position(bound(template)["dim"], len(shape))
    found = [
        Row((Shard(other), WHOLE), (Shard(other),))
        for other, size in enumerate(shape)
        if other != dim and cuts(size, world_size)
    ]
    if cuts(wanted[0], world_size):
        found.append(Row((WHOLE, Shard(0)), (Shard(dim),)))
    if cuts(shape[dim], world_size) and is_float(template.inputs[0]):
        found.append(Row((Shard(dim), WHOLE), (SUM,), _masked(template, dim, _select)))
    return (*found, *linear_rows(template, ((0,),)))


def scatter_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`scatter`, `scatter_add`, `scatter_reduce`: other dims in which all are equally long; what is added
    may be in pieces.
    """
    given = bound(template)
    shape, wanted = template.inputs[0].shape, template.inputs[1].shape
    if not shape or not wanted:
        return ()
    dim = position(given["dim"], len(shape))
    count = len(template.inputs)
    found = [
        Row((Shard(other),) * count, (Shard(other),))
        for other, size in enumerate(shape)
        if other != dim
        and cuts(size, world_size)
        and all(meta.shape[other] == size for meta in template.inputs[1:])
    ]
    if packet_of(template.op).removesuffix("_") == "aten.scatter_add" and is_float(template.outputs[0]):
        if wanted == template.inputs[2].shape and cuts(wanted[dim], world_size):
            found.append(Row((SUM, Shard(dim), Shard(dim)), (SUM,)))
        found.extend(linear_rows(template, ((0, 2),)))
    elif count == 3 and given.get("reduce") is None:
        found.extend(linear_rows(template, ((0, 2),)))
    return tuple(found)


def index_write_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`index_add`, `index_copy`, `index_fill`: other dims; of `index_add` the batch of what is added."""
    shape = template.inputs[0].shape
    given = bound(template)
    packet = packet_of(template.op).removesuffix("_")
    if not shape or len(template.inputs[1].shape) != 1:
        return ()
    dim = position(given["dim"], len(shape))
    found = []
    for other, size in enumerate(shape):
        if other == dim or not cuts(size, world_size):
            continue
        chosen: dict[int, Placement] = {0: Shard(other)}
        source = given.get("source")
        if isinstance(source, Slot):
            if len(template.inputs[source.index].shape) != len(shape):
                continue
            chosen[source.index] = Shard(other)
        found.append(Row(pick(len(template.inputs), chosen), (Shard(other),)))
    if packet == "aten.index_add" and is_float(template.outputs[0]):
        if cuts(template.inputs[1].shape[0], world_size):
            found.append(Row((SUM, Shard(0), Shard(dim)), (SUM,)))
        found.extend(linear_rows(template, ((0, 2),)))
    if packet == "aten.index_copy":
        found.extend(linear_rows(template, ((0, 2),)))
    return tuple(found)


def place_index_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`take`, `searchsorted`, `bucketize`: what is looked for; the table stays whole."""
    given = bound(template)
    table = (
        given["self"]
        if packet_of(template.op) == "aten.take"
        else given.get("sorted_sequence", given.get("boundaries"))
    )
    if not isinstance(table, Slot) or len(template.inputs) != 2:
        return ()
    if packet_of(template.op) == "aten.searchsorted" and len(template.inputs[table.index].shape) != 1:
        return ()
    other = 1 - table.index
    return tuple(
        Row(pick(2, {other: Shard(dim)}), (Shard(dim),))
        for dim, size in enumerate(template.inputs[other].shape)
        if cuts(size, world_size)
    )


def index_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`index`, `_unsafe_index`: dims that are not indexed, and dims of the indices where nothing else is
    cut.
    """
    given = bound(template)
    shape = template.inputs[0].shape
    places = _places(template, given["indices"])
    if places is None:
        return ()
    indexed, at, broadcast = places
    found = []
    for dim, made in _free(len(shape), indexed, at, len(broadcast)):
        if cuts(shape[dim], world_size):
            found.append(Row(pick(len(template.inputs), {0: Shard(dim)}), (Shard(made),)))
    for dim, size in enumerate(broadcast):
        if cuts(size, world_size):
            inputs = (WHOLE, *_aligned(template, 1, len(template.inputs), broadcast, dim))
            found.append(Row(inputs, (Shard(at + dim),)))
    return (*found, *linear_rows(template, ((0,),)))


def index_put_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`index_put`: dims that are not indexed; where values are added, also dims of the indices."""
    given = bound(template)
    shape = template.inputs[0].shape
    places = _places(template, given["indices"])
    values = given["values"].index
    if places is None or values != len(template.inputs) - 1:
        return ()
    indexed, at, broadcast = places
    wide = (*_kept(shape, indexed, at, broadcast),)
    given_shape = template.inputs[values].shape
    found = []
    for dim, made in _free(len(shape), indexed, at, len(broadcast)):
        if not cuts(shape[dim], world_size):
            continue
        own = made - (len(wide) - len(given_shape))
        if own >= 0 and given_shape[own] not in (1, shape[dim]):
            continue
        chosen: dict[int, Placement] = {0: Shard(dim)}
        if own >= 0 and given_shape[own] == shape[dim]:
            chosen[values] = Shard(own)
        found.append(Row(pick(len(template.inputs), chosen), (Shard(dim),)))
    if given["accumulate"] and is_float(template.outputs[0]):
        for dim, size in enumerate(broadcast):
            own = at + dim - (len(wide) - len(given_shape))
            if cuts(size, world_size):
                last = Shard(own) if own >= 0 and given_shape[own] == size else WHOLE
                inputs = (SUM, *_aligned(template, 1, values, broadcast, dim), last)
                found.append(Row(inputs, (SUM,)))
    return (*found, *linear_rows(template, ((0, values),)))


def _places(
    template: Template, indices: tuple[Any, ...]
) -> tuple[tuple[int, ...], int, tuple[int, ...]] | None:
    """Which dims are indexed, where the indices' dims come in the result, and their shape; None where
    masks index.
    """
    slots = [(dim, one.index) for dim, one in enumerate(indices) if isinstance(one, Slot)]
    metas = [template.inputs[index] for _, index in slots]
    if not slots or any(str(meta.dtype) in ("torch.bool", "torch.uint8") for meta in metas):
        return None
    indexed = tuple(dim for dim, _ in slots)
    broadcast = _broadcast([meta.shape for meta in metas])
    is_together = indexed[-1] - indexed[0] == len(indexed) - 1
    return indexed, indexed[0] if is_together else 0, broadcast


def _broadcast(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    dims = max(map(len, shapes))
    padded = [(1,) * (dims - len(shape)) + shape for shape in shapes]
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in zip(*padded, strict=True))


def _free(dims: int, indexed: tuple[int, ...], at: int, made: int) -> list[tuple[int, int]]:
    """`(dim, dim of the result)` of those that are not indexed."""
    free = [dim for dim in range(dims) if dim not in indexed]
    return [(dim, number if number < at else number + made) for number, dim in enumerate(free)]


def _kept(shape: tuple[int, ...], indexed: tuple[int, ...], at: int, broadcast: tuple[int, ...]) -> list[int]:
    free = [size for dim, size in enumerate(shape) if dim not in indexed]
    return [*free[:at], *broadcast, *free[at:]]


def _aligned(
    template: Template, first: int, stop: int, broadcast: tuple[int, ...], dim: int
) -> tuple[Placement, ...]:
    """How the index tensors are held where their common shape is cut along a dim."""
    placements: list[Placement] = []
    for meta in template.inputs[first:stop]:
        own = dim - (len(broadcast) - len(meta.shape))
        placements.append(Shard(own) if own >= 0 and meta.shape[own] == broadcast[dim] else WHOLE)
    return tuple(placements)
