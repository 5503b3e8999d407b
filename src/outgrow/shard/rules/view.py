"""Ops that show the same elements in another shape, or some of them."""

__all__ = [
    "cut_rows",
    "expand_rows",
    "fold_rows",
    "gradient_rows",
    "permute_rows",
    "reshape_rows",
    "same_dims",
    "unfold_gradient_rows",
]

import functools
from typing import Any

import torch
from torch import Tensor

from outgrow.placement import Placement, Shard
from outgrow.shard.instructions import Template
from outgrow.shard.ranks.kernels import Kernel
from outgrow.shard.ranks.pieces import piece_bounds, piece_shape
from outgrow.shard.rules.arguments import bound, local_size, packet_of, position
from outgrow.shard.rules.cuts import cuts, is_even, linear_rows
from outgrow.shard.rules.row import SUM, WHOLE, Row


def same_dims(old: tuple[int, ...], new: tuple[int, ...], world_size: int) -> list[tuple[int, int]]:
    """`(dim of old, dim of new)`: cutting the one is cutting the other, where a shape is read as another.

    A dim that is in both shapes with the same neighbourhood may be cut unevenly; the first of several that
    are split or merged must be cut evenly in both shapes.
    """
    found: list[tuple[int, int]] = []
    at_old = at_new = 0
    while at_old < len(old) and at_new < len(new):
        first_old, first_new = at_old, at_new
        size_old, size_new = old[at_old], new[at_new]
        at_old, at_new = at_old + 1, at_new + 1
        while size_old != size_new:
            if size_old < size_new and at_old < len(old):
                size_old, at_old = size_old * old[at_old], at_old + 1
            elif size_new < size_old and at_new < len(new):
                size_new, at_new = size_new * new[at_new], at_new + 1
            else:
                return found
        if size_old == 0:
            return found
        while first_old < at_old - 1 and old[first_old] == 1:
            first_old += 1
        while first_new < at_new - 1 and new[first_new] == 1:
            first_new += 1
        sizes = old[first_old], new[first_new]
        if sizes[0] == sizes[1]:
            if cuts(sizes[0], world_size):
                found.append((first_old, first_new))
        elif all(is_even(size, world_size) for size in sizes):
            found.append((first_old, first_new))
    return found


def reshape_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`view`, `reshape`, `_unsafe_view`: dims that stay, and the first of those that are split or merged."""
    old, new = template.inputs[0].shape, template.outputs[0].shape
    found = [
        Row((Shard(dim),), (Shard(made),), functools.partial(_reshaped, template, Shard(made)))
        for dim, made in same_dims(old, new, world_size)
    ]
    return (*found, *linear_rows(template, ((0,),)))


def _reshaped(
    template: Template, placement: Placement, rank: int, world_size: int, device: torch.device
) -> Kernel:
    shape = piece_shape(template.outputs[0].shape, placement, rank, world_size)
    return lambda inputs, floats: (inputs[0].reshape(shape),)


def permute_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`permute`, `transpose`, `t`, `squeeze`, `unsqueeze`: every dim goes somewhere, and the op needs no
    other arguments.
    """
    shape = template.inputs[0].shape
    if packet_of(template.op) in ("aten.squeeze", "aten.unsqueeze"):
        pairs = _around_ones(shape, template)
    else:
        pairs = list(enumerate(_order(template, len(shape))))
        pairs = [(dim, made) for made, dim in pairs]
    # Squeezing a dim of size 1, whether it is named or not, would squeeze a piece of one entry, too.
    is_blind = packet_of(template.op) == "aten.squeeze"
    found = [
        Row(
            (Shard(dim),),
            (Shard(made),),
            functools.partial(_reshaped, template, Shard(made)) if is_blind else None,
        )
        for dim, made in pairs
        if cuts(shape[dim], world_size)
    ]
    return (*found, *linear_rows(template, ((0,),)))


def _order(template: Template, dims: int) -> list[int]:
    """For each dim of the result, the dim that it was."""
    given, order = bound(template), list(range(dims))
    match packet_of(template.op):
        case "aten.permute":
            return [position(dim, dims) for dim in given["dims"]]
        case "aten.transpose":
            first, second = position(given["dim0"], dims), position(given["dim1"], dims)
            if dims:
                order[first], order[second] = order[second], order[first]
            return order
        case _:
            return order[::-1]


def _around_ones(shape: tuple[int, ...], template: Template) -> list[tuple[int, int]]:
    """Squeezing and unsqueezing keep the order of dims: those that are not 1 by rank, the others do not
    matter.
    """
    new = template.outputs[0].shape
    kept = [dim for dim, size in enumerate(shape) if size != 1]
    made = [dim for dim, size in enumerate(new) if size != 1]
    return list(zip(kept, made, strict=True))


def expand_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`expand`: dims that stay, and new ones, of which each rank makes its piece from the whole."""
    old, new = template.inputs[0].shape, template.outputs[0].shape
    found = []
    for dim, size in enumerate(new):
        own = dim - (len(new) - len(old))
        if cuts(size, world_size):
            placement: Placement = Shard(own) if own >= 0 and old[own] == size else WHOLE
            found.append(Row((placement,), (Shard(dim),), local_size(template, "size", Shard(dim), new)))
    return (*found, *linear_rows(template, ((0,),)))


def cut_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`select`, `slice`, `split`, `unbind`, `diagonal`, `unfold`, `narrow`: dims that are not looked along.

    Where a piece's own entries can be told (`select`, `slice`), those of the result are a sum over ranks, of
    which one has each.
    """
    given, shape = bound(template), template.inputs[0].shape
    packet = packet_of(template.op)
    looked = {
        position(given[name], len(shape))
        for name in ("dim", "dimension", "dim1", "dim2")
        if given.get(name) is not None
    }
    found = []
    for dim, size in enumerate(shape):
        if dim in looked or not cuts(size, world_size):
            continue
        made = dim
        if packet in ("aten.select", "aten.unbind", "aten.diagonal"):
            made -= sum(1 for one in looked if one < dim)
        found.append(Row((Shard(dim),), (Shard(made),) * len(template.outputs)))
    if packet in ("aten.select", "aten.slice"):
        found.extend(_owned_rows(template, given, world_size))
    return (*found, *linear_rows(template, ((0,),)))


def _owned_rows(template: Template, given: dict[str, Any], world_size: int) -> list[Row]:
    """Cut along the very dim that is selected from: each rank gives what it has and zeros elsewhere."""
    meta, out = template.inputs[0], template.outputs[0]
    dim = position(given["dim"], len(meta.shape))
    if not linear_rows(template, ((0,),)) or not cuts(meta.shape[dim], world_size):
        return []
    if meta.shape == out.shape:
        return [Row((Shard(dim),), (Shard(dim),), lambda rank, ranks, device: _itself)]
    if 2 * out.elements > meta.elements:
        return []
    return [Row((Shard(dim),), (SUM,), functools.partial(_owned, template, dim))]


def _itself(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
    return (inputs[0],)


def selected(given: dict[str, Any], size: int) -> range:
    """Which entries of a dim of `size` entries a `select` or `slice` shows."""
    if "index" in given:
        return range(given["index"] % size, given["index"] % size + 1)
    return range(size)[slice(given.get("start"), given.get("end"), given.get("step") or 1)]


def own_part(shown: range, start: int, stop: int) -> tuple[slice, slice]:
    """Of the entries that are shown, which are in `[start, stop)`: as places among those shown, and in
    the piece.
    """
    first = max(0, -(-(start - shown.start) // shown.step))
    last = min(len(shown), max(first, -(-(stop - shown.start) // shown.step)))
    if last <= first:
        return slice(0, 0), slice(0, 0)
    at = shown.start + first * shown.step - start
    return slice(first, last), slice(at, at + (last - first - 1) * shown.step + 1, shown.step)


def _owned(template: Template, dim: int, rank: int, world_size: int, device: torch.device) -> Kernel:
    size, out = template.inputs[0].shape[dim], template.outputs[0]
    given = bound(template)
    places, own = own_part(selected(given, size), *piece_bounds(size, rank, world_size))
    before = (slice(None),) * dim

    def kernel(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
        made = torch.zeros(out.shape, dtype=out.dtype, device=inputs[0].device)
        if places.stop > places.start:
            target = made.unsqueeze(dim) if "index" in given else made
            target[(*before, places)] = inputs[0][(*before, own)]
        return (made,)

    return kernel


def gradient_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`select_backward`, `slice_backward`: other dims, and the very dim, of which each rank makes its
    piece from the whole.
    """
    given, out = bound(template), template.outputs[0]
    name = "input_sizes"
    dim = position(given["dim"], len(out.shape))
    found = []
    for other, size in enumerate(out.shape):
        if other == dim or not cuts(size, world_size):
            continue
        own = other - (1 if "index" in given and other > dim else 0)
        found.append(Row((Shard(own),), (Shard(other),), local_size(template, name, Shard(other), out.shape)))
    if cuts(out.shape[dim], world_size):
        found.append(Row((WHOLE,), (Shard(dim),), functools.partial(_scattered, template, dim)))
    return (*found, *linear_rows(template, ((0,),)))


def _scattered(template: Template, dim: int, rank: int, world_size: int, device: torch.device) -> Kernel:
    given, out = bound(template), template.outputs[0]
    start, stop = piece_bounds(out.shape[dim], rank, world_size)
    places, own = own_part(selected(given, out.shape[dim]), start, stop)
    shape = (*out.shape[:dim], stop - start, *out.shape[dim + 1 :])
    before = (slice(None),) * dim

    def kernel(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
        made = torch.zeros(shape, dtype=out.dtype, device=inputs[0].device)
        if places.stop > places.start:
            source = inputs[0].unsqueeze(dim) if "index" in given else inputs[0]
            made[(*before, own)] = source[(*before, places)]
        return (made,)

    return kernel


def unfold_gradient_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`unfold_backward`, `diagonal_backward`: dims that are not looked along."""
    given, out = bound(template), template.outputs[0]
    looked = {position(given[name], len(out.shape)) for name in ("dim", "dim1", "dim2") if name in given}
    found = []
    for dim, size in enumerate(out.shape):
        if dim in looked or not cuts(size, world_size):
            continue
        own = dim - (sum(1 for one in looked if one < dim) if "dim1" in given else 0)
        kernel = local_size(template, "input_sizes", Shard(dim), out.shape)
        found.append(Row((Shard(own),), (Shard(dim),), kernel))
    return (*found, *linear_rows(template, ((0,),)))


def fold_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`constant_pad_nd`, `repeat`: dims that are left alone."""
    shape, out = template.inputs[0].shape, template.outputs[0].shape
    given = bound(template)
    shift = len(out) - len(shape)
    if "pad" in given:
        pads = given["pad"]
        free = [
            dim
            for dim in range(len(shape))
            if not any(pads[2 * (len(shape) - 1 - dim) : 2 * (len(shape) - 1 - dim) + 2])
        ]
        is_linear = type(given["value"]) is int and given["value"] == 0
    else:
        free = [dim for dim in range(len(shape)) if given["repeats"][dim + shift] == 1]
        is_linear = True
    found = [Row((Shard(dim),), (Shard(dim + shift),)) for dim in free if cuts(shape[dim], world_size)]
    return (*found, *linear_rows(template, ((0,),) if is_linear else ()))
