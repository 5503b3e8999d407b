"""Ops that make tensors from nothing: held in any way."""

__all__ = ["factory_rows"]

import functools
from typing import Any

import torch
from torch import Tensor

from outgrow.placement import Shard
from outgrow.shard.instructions import Template
from outgrow.shard.ranks.kernels import Kernel, template_kernel
from outgrow.shard.ranks.pieces import piece_of, piece_shape
from outgrow.shard.rules.arguments import bound, packet_of, rewritten
from outgrow.shard.rules.cuts import cuts
from outgrow.shard.rules.row import Row

_SIZED = (
    "aten.full",
    "aten.zeros",
    "aten.ones",
    "aten.empty",
    "aten.new_full",
    "aten.new_zeros",
    "aten.new_ones",
)


def factory_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """One row for each dim of the result. Where the numbers depend on the place, each rank makes all and
    keeps its piece.
    """
    if len(template.outputs) != 1 or template.inputs:
        return ()
    return tuple(
        Row((), (Shard(dim),), functools.partial(_piece, template, dim))
        for dim, size in enumerate(template.outputs[0].shape)
        if cuts(size, world_size)
    )


def _piece(template: Template, dim: int, rank: int, world_size: int, device: torch.device) -> Kernel:
    if packet_of(template.op) in _SIZED and "names" not in bound(template):
        shape = piece_shape(template.outputs[0].shape, Shard(dim), rank, world_size)
        return template_kernel(rewritten(template, size=shape), device)
    whole = template_kernel(template, device)

    def kernel(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
        return (piece_of(whole(inputs, floats)[0], dim, rank, world_size).clone(),)

    return kernel
