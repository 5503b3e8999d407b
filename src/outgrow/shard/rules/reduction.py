"""Ops that reduce dims: the other dims can be cut, and the reduced ones where pieces of the result can be
joined.
"""

__all__ = ["norm_rows", "power_sum_rows", "reduction_rows"]

import functools
import math
from typing import Any

import torch
from torch import Tensor

from outgrow.placement import Partial, Placement, Shard
from outgrow.shard.instructions import FLOAT, Template
from outgrow.shard.ranks.kernels import Kernel, template_kernel
from outgrow.shard.ranks.pieces import piece_bounds
from outgrow.shard.rules.arguments import bound, packet_of, position
from outgrow.shard.rules.cuts import cuts, is_even, linear_rows
from outgrow.shard.rules.row import SUM, Row, RowKernel

JOINED: dict[str, str | None] = {
    "aten.sum": "sum",
    "aten.nansum": "sum",
    "aten.count_nonzero": "sum",
    "aten.mean": "mean",
    "aten.amax": "max",
    "aten.amin": "min",
    "aten.max": "max",
    "aten.min": "min",
    "aten.any": "max",
    "aten.all": "min",
    **dict.fromkeys(
        [
            "aten.prod",
            "aten.var",
            "aten.std",
            "aten.var_mean",
            "aten.std_mean",
            "aten.logsumexp",
            "aten.argmax",
            "aten.argmin",
            "aten.median",
            "aten.nanmedian",
            "aten.mode",
            "aten.kthvalue",
            "aten.aminmax",
        ]
    ),
}
"""What joins the results of pieces along a reduced dim; None where nothing does."""


def reduction_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """Reductions by name, with `dim` and `keepdim` as torch has them."""
    return _rows(template, world_size, JOINED[packet_of(template.op)])


_JOINED_NORMS: dict[float, str] = {0: "sum", 1: "sum", math.inf: "max", -math.inf: "min"}


def norm_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`linalg_vector_norm`, `norm`: the orders 0 and 1 add up and infinity is a maximum; others are
    `outgrow.power_sum`.
    """
    given = bound(template)
    order: Any = given.get("ord", given.get("p"))
    joined = (
        {0: "sum", 1: "sum", math.inf: "max", -math.inf: "min"}.get(order) if order is not FLOAT else None
    )
    return _rows(template, world_size, joined)


def power_sum_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`outgrow.power_sum(tensor, order, dim, keepdim, dtype)`: sums of powers, which is what norms are
    roots of.
    """
    _, _, dim, keepdim, _ = template.args
    return _rows(template, world_size, "sum", {"dim": dim, "keepdim": keepdim})


def _rows(
    template: Template, world_size: int, joined: str | None, given: dict[str, Any] | None = None
) -> tuple[Row, ...]:
    meta = template.inputs[0]
    given = bound(template) if given is None else given
    dims = len(meta.shape)
    reduced = _reduced(given.get("dim"), dims)
    kept = [dim for dim in range(dims) if dim not in reduced]
    keepdim = bool(given.get("keepdim", False))
    expected = tuple(
        1 if dim in reduced else size for dim, size in enumerate(meta.shape) if keepdim or dim not in reduced
    )
    if len(template.inputs) != 1 or any(made.shape != expected for made in template.outputs):
        return ()
    found = []
    for dim in kept:
        if cuts(meta.shape[dim], world_size):
            out = Shard(dim if keepdim else kept.index(dim))
            found.append(Row((Shard(dim),), (out,) * len(template.outputs)))
    if joined is not None and len(template.outputs) == 1:
        for dim in sorted(reduced):
            row = _joined(template, dim, joined, world_size)
            if row is not None:
                found.append(row)
    if packet_of(template.op) in ("aten.sum", "aten.mean"):
        found.extend(linear_rows(template, ((0,),)))
    return tuple(found)


def _reduced(dim: Any, dims: int) -> set[int]:
    if dim is None or dim == ():
        return set(range(dims))
    return {position(one, dims) for one in (dim if isinstance(dim, tuple) else (dim,))}


def _joined(template: Template, dim: int, joined: str, world_size: int) -> Row | None:
    size = template.inputs[0].shape[dim] if template.inputs[0].shape else 1
    # A maximum of nothing is an error: only where every rank has something.
    if not (is_even if joined in ("max", "min") else cuts)(size, world_size):
        return None
    placement: Placement = Partial(joined) if joined in ("max", "min") else SUM
    kernel: RowKernel | None = functools.partial(_mean, template, dim) if joined == "mean" else None
    return Row((Shard(dim),), (placement,), kernel)


def _mean(template: Template, dim: int, rank: int, world_size: int, device: torch.device) -> Kernel:
    """The mean of the piece, weighted by its share: never larger than the mean of the whole can be."""
    size = template.inputs[0].shape[dim]
    start, stop = piece_bounds(size, rank, world_size)
    share, own, out = (stop - start) / size, template_kernel(template, device), template.outputs[0]

    def kernel(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
        if start == stop:
            return (torch.zeros(out.shape, dtype=out.dtype, device=inputs[0].device),)
        return (own(inputs, floats)[0] * share,)

    return kernel
