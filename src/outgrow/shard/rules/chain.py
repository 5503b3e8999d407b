"""Reading and writing through a chain of views, on pieces of what is viewed."""

__all__ = ["read_rows", "write_rows"]

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from outgrow.placement import Placement, Shard
from outgrow.shard.instructions import INPUT, Template, TensorMeta
from outgrow.shard.ranks.kernels import Kernel, resolve_op, template_kernel
from outgrow.shard.ranks.pieces import piece_bounds
from outgrow.shard.rules.arguments import bound, packet_of, position
from outgrow.shard.rules.cuts import cuts, linear_rows
from outgrow.shard.rules.row import SUM, WHOLE, Row, RowKernel
from outgrow.shard.rules.view import own_part, selected

Rule = Callable[[Template, int], tuple[Row, ...]]


class _Link(NamedTuple):
    """One view of a chain as an op of its own."""

    template: Template
    result: int | None
    """Which of its results goes on; None where it has one."""


def read_rows(template: Template, world_size: int, rows: Rule) -> tuple[Row, ...]:
    """`outgrow.read_view(whole, chain)`: wherever each link has a row for what the link before it gives."""
    links = _links(template)
    found = []
    starts: list[Placement] = [*map(Shard, range(len(template.inputs[0].shape))), SUM]
    for start in starts:
        walked = _walk(links, start, world_size, rows)
        if walked is not None:
            found.append(Row((start,), (walked[0],), functools.partial(_read, tuple(walked[1]))))
    return tuple(found)


def write_rows(template: Template, world_size: int, rows: Rule) -> tuple[Row, ...]:
    """`outgrow.write_view(whole, part, chain)`: where the view of a piece is a piece of the view; and where
    the view looks along the cut dim itself: each rank writes what is its own.
    """
    links = _links(template)
    shape = template.inputs[0].shape
    found: list[Row] = []
    for dim, size in enumerate(shape):
        if not cuts(size, world_size):
            continue
        walked = _walk(links, Shard(dim), world_size, rows)
        if walked is not None and isinstance(walked[0], Shard):
            kernel = functools.partial(_write, template, tuple(walked[1]))
            found.append(Row((Shard(dim), walked[0]), (Shard(dim),), kernel))
            continue
        owned = _owned(links, dim)
        if owned is not None:
            found.append(
                Row(
                    (Shard(dim), WHOLE),
                    (Shard(dim),),
                    functools.partial(_write_own, template, links, dim, owned),
                )
            )
    return (*found, *linear_rows(template, ((0, 1),)))


@functools.lru_cache(maxsize=1000)
def _links(template: Template) -> tuple[_Link, ...]:
    meta = template.inputs[0]
    view = torch.empty_strided(meta.shape, meta.stride, dtype=meta.dtype, device="meta")
    links = []
    for name, args, kwargs, index in template.args[-1]:
        before = view
        result = resolve_op(name)(before, *args, **dict(kwargs))
        results = list(result) if isinstance(result, (tuple, list)) else [result]
        link = Template(
            op=name,
            args=(INPUT, *args),
            kwargs=tuple(kwargs),
            inputs=(_meta(before),),
            outputs=tuple(map(_meta, results)),
        )
        view = results[index or 0]
        links.append(_Link(link, index))
    return tuple(links)


def _meta(tensor: Tensor) -> TensorMeta:
    return TensorMeta(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)


def _walk(
    links: tuple[_Link, ...], start: Placement, world_size: int, rows: Rule
) -> tuple[Placement, list[tuple[_Link, RowKernel | None]]] | None:
    """How the view is held where the whole is held so, and what each rank runs for each link."""
    placement, runs = start, []
    for link in links:
        row = next((one for one in rows(link.template, world_size)[1:] if one.inputs == (placement,)), None)
        if row is None:
            return None
        placement = row.outputs[link.result or 0]
        runs.append((link, row.kernel))
    return placement, runs


def _kernels(
    runs: tuple[tuple[_Link, RowKernel | None], ...], rank: int, world_size: int, device: torch.device
) -> list[tuple[Kernel, int]]:
    return [
        (make(rank, world_size, device) if make else template_kernel(link.template, device), link.result or 0)
        for link, make in runs
    ]


def _read(
    runs: tuple[tuple[_Link, RowKernel | None], ...], rank: int, world_size: int, device: torch.device
) -> Kernel:
    kernels = _kernels(runs, rank, world_size, device)

    def kernel(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
        view = inputs[0]
        for run, index in kernels:
            view = run([view], ())[index]
        return (view,)

    return kernel


def _write(
    template: Template,
    runs: tuple[tuple[_Link, RowKernel | None], ...],
    rank: int,
    world_size: int,
    device: torch.device,
) -> Kernel:
    kernels = _kernels(runs, rank, world_size, device)
    meta = template.inputs[0]

    def kernel(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
        whole = view = _laid_out(inputs[0], meta)
        for run, index in kernels:
            view = run([view], ())[index]
        _fill(whole, view, inputs[1])
        return (whole,)

    return kernel


def _laid_out(piece: Tensor, meta: TensorMeta) -> Tensor:
    """A copy with the dims in the order of memory that the client sees, so that the same views can be
    taken.
    """
    order = sorted(range(len(meta.shape)), key=lambda dim: -meta.stride[dim])
    back = sorted(range(len(order)), key=order.__getitem__)
    return piece.permute(order).clone(memory_format=torch.contiguous_format).permute(back)


def _fill(whole: Tensor, view: Tensor, part: Tensor) -> None:
    if view.numel() and view.untyped_storage().data_ptr() != whole.untyped_storage().data_ptr():
        raise RuntimeError("a view of a piece turned out to be a copy: nothing would be written")
    view.copy_(part)


# Along the cut dim

_KEEPING = ("aten.select", "aten.slice", "aten.permute", "aten.transpose", "aten.t", "aten.unsqueeze")


class _Own(NamedTuple):
    """The link that looks along the cut dim, and where that dim is in the view in the end."""

    place: int
    dim: int
    """Of the link's input."""
    last: int | None
    """Of the view; None where the link selects one entry."""


def _owned(links: tuple[_Link, ...], dim: int) -> _Own | None:
    """Where exactly one link selects or slices along the dim, and the others leave it alone."""
    at: int | None = dim
    own: tuple[int, int] | None = None
    for place, (template, _) in enumerate(links):
        packet, dims = packet_of(template.op), len(template.inputs[0].shape)
        if packet not in _KEEPING:
            return None
        if at is None:
            continue
        given = bound(template)
        if packet in ("aten.select", "aten.slice") and position(given["dim"], dims) == at:
            if own is not None:
                return None
            own = place, at
            at = None if packet == "aten.select" else at
            continue
        at = _moved(packet, given, at, dims)
    return None if own is None else _Own(*own, at)


def _moved(packet: str, given: dict[str, Any], at: int, dims: int) -> int:
    """Where a dim is after a link that does not look along it."""
    match packet:
        case "aten.select":
            return at - (position(given["dim"], dims) < at)
        case "aten.permute":
            return [position(dim, dims) for dim in given["dims"]].index(at)
        case "aten.transpose":
            pair = position(given["dim0"], dims), position(given["dim1"], dims)
            return pair[1 - pair.index(at)] if at in pair else at
        case "aten.t":
            return dims - 1 - at
        case "aten.unsqueeze":
            return at + (position(given["dim"], dims + 1) <= at)
        case _:
            return at


def _write_own(
    template: Template,
    links: tuple[_Link, ...],
    dim: int,
    own: _Own,
    rank: int,
    world_size: int,
    device: torch.device,
) -> Kernel:
    meta, cutting = template.inputs[0], links[own.place].template
    bounds = piece_bounds(meta.shape[dim], rank, world_size)
    shown = selected(bound(cutting), cutting.inputs[0].shape[own.dim])
    places, inside = own_part(shown, *bounds)
    kernels = [template_kernel(link.template, device) for link in links]

    def kernel(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
        whole = view = _laid_out(inputs[0], meta)
        if places.stop == places.start:
            return (whole,)
        for place, run in enumerate(kernels):
            if place == own.place:
                view = view[(slice(None),) * own.dim + (inside,)]
                view = view.squeeze(own.dim) if own.last is None else view
            else:
                view = run([view], ())[0]
        part = inputs[1]
        if own.last is not None:
            part = part[(slice(None),) * own.last + (places,)]
        _fill(whole, view, part)
        return (whole,)

    return kernel
