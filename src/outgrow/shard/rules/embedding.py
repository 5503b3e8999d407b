"""Looking rows up in a table: by hidden dim, by batch, and by the table's rows with the others' masked
out.
"""

__all__ = ["embedding_backward_rows", "embedding_rows"]

import functools
from typing import Any

import torch
from torch import Tensor

from outgrow.placement import Shard
from outgrow.shard.instructions import Template
from outgrow.shard.ranks.kernels import Kernel
from outgrow.shard.ranks.pieces import piece_bounds
from outgrow.shard.rules.arguments import bound
from outgrow.shard.rules.cuts import cuts, is_float, linear_rows
from outgrow.shard.rules.row import SUM, WHOLE, Row


def embedding_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`embedding(weight [rows, hidden], indices)`."""
    weight, indices = template.inputs
    found = [
        Row((WHOLE, Shard(dim)), (Shard(dim),))
        for dim, size in enumerate(indices.shape)
        if cuts(size, world_size)
    ]
    if cuts(weight.shape[1], world_size):
        found.append(Row((Shard(1), WHOLE), (Shard(len(indices.shape)),)))
    if cuts(weight.shape[0], world_size) and is_float(weight):
        found.append(Row((Shard(0), WHOLE), (SUM,), functools.partial(_masked, weight.shape[0])))
    return (*found, *linear_rows(template, ((0,),)))


def _masked(size: int, rank: int, world_size: int, device: torch.device) -> Kernel:
    start, stop = piece_bounds(size, rank, world_size)

    def kernel(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
        weight, indices = inputs
        _check(indices, size)
        if start == stop:
            return (weight.new_zeros((*indices.shape, weight.shape[1])),)
        is_own = (indices >= start) & (indices < stop)
        made = torch.embedding(weight, torch.where(is_own, indices - start, 0))
        return (made.masked_fill_(~is_own.unsqueeze(-1), 0),)

    return kernel


def _check(indices: Tensor, size: int) -> None:
    """An index that no rank has is an error, as it is where the table is whole."""
    if indices.numel() and not bool(((indices >= 0) & (indices < size)).all()):
        raise IndexError("index out of range in self")


def embedding_backward_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`embedding_dense_backward(grad [..., hidden], indices, num_weights, padding_idx,
    scale_grad_by_freq)`.
    """
    grad, indices = template.inputs
    given = bound(template)
    last = len(indices.shape)
    found = []
    if not given["scale_grad_by_freq"]:
        # How often an index occurs, each piece of a batch would count for itself.
        found = [
            Row((Shard(dim), Shard(dim)), (SUM,))
            for dim, size in enumerate(indices.shape)
            if cuts(size, world_size)
        ]
    if cuts(grad.shape[last], world_size):
        found.append(Row((Shard(last), WHOLE), (Shard(1),)))
    rows = template.outputs[0].shape[0]
    if cuts(rows, world_size) and not given["scale_grad_by_freq"]:
        found.append(
            Row(
                (WHOLE, WHOLE),
                (Shard(0),),
                functools.partial(_own_rows, rows, given["padding_idx"]),
            )
        )
    return (*found, *linear_rows(template, ((0,),)))


def _own_rows(size: int, padding: int, rank: int, world_size: int, device: torch.device) -> Kernel:
    start, stop = piece_bounds(size, rank, world_size)

    def kernel(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
        grad, indices = inputs
        flat = indices.reshape(-1)
        is_own = (flat >= start) & (flat < stop) & (flat != padding)
        # The row after the last is for everything that other ranks have: no index is left out, so no rank
        # waits.
        places = torch.where(is_own, flat - start, stop - start)
        made = grad.new_zeros((stop - start + 1, grad.shape[-1]))
        made.index_add_(0, places, grad.reshape(flat.shape[0], grad.shape[-1]))
        return (made[: stop - start],)

    return kernel
