"""Losses. A mean over everything, taken on pieces, is divided by the number of the whole."""

__all__ = [
    "ELEMENTWISE",
    "elementwise_backward_rows",
    "elementwise_rows",
    "nll_backward_rows",
    "nll_rows",
]

import functools
from typing import Any

import torch
from torch import Tensor

from outgrow.placement import Placement, Shard
from outgrow.shard.instructions import Template
from outgrow.shard.ranks.kernels import Kernel, template_kernel
from outgrow.shard.ranks.pieces import piece_bounds
from outgrow.shard.rules.arguments import Slot, bound, rewritten
from outgrow.shard.rules.cuts import cuts, is_float, linear_rows, pick
from outgrow.shard.rules.pointwise import pointwise_rows
from outgrow.shard.rules.row import SUM, WHOLE, Row

ELEMENTWISE = (
    "aten.mse_loss",
    "aten.smooth_l1_loss",
    "aten.huber_loss",
    "aten.soft_margin_loss",
    "aten.binary_cross_entropy",
    "aten.binary_cross_entropy_with_logits",
)
"""Losses that compare elements one by one; each has a `_backward` but the last."""

_NONE, _MEAN, _SUM = 0, 1, 2


def elementwise_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """A loss of equal shapes: pieces give partial sums."""
    given = bound(template)
    if given["reduction"] == _NONE:
        return pointwise_rows(template, world_size)
    shape = template.inputs[0].shape
    found = []
    for dim, size in enumerate(shape):
        inputs = _cut_alike(template, shape, dim)
        if inputs is None or not cuts(size, world_size):
            continue
        found.append(Row(inputs, (SUM,), functools.partial(_summed, template, dim)))
    return tuple(found)


def _cut_alike(template: Template, shape: tuple[int, ...], dim: int) -> tuple[Placement, ...] | None:
    """Inputs as wide as the dim are cut, those that are broadcast along it are not; none where one is
    larger.
    """
    placements: list[Placement] = []
    for meta in template.inputs:
        if len(meta.shape) > len(shape):
            return None
        own = dim - (len(shape) - len(meta.shape))
        if own >= 0 and meta.shape[own] == shape[dim]:
            placements.append(Shard(own))
        elif own < 0 or meta.shape[own] == 1:
            placements.append(WHOLE)
        else:
            return None
    return tuple(placements)


def _summed(template: Template, dim: int, rank: int, world_size: int, device: torch.device) -> Kernel:
    """The mean of the piece, weighted by its share; of nothing, zero."""
    size, out = template.inputs[0].shape[dim], template.outputs[0]
    start, stop = piece_bounds(size, rank, world_size)
    own = template_kernel(template, device)
    share = (stop - start) / size if bound(template)["reduction"] == _MEAN else 1.0

    def kernel(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
        if start == stop:
            return (torch.zeros(out.shape, dtype=out.dtype, device=inputs[0].device),)
        return (own(inputs, floats)[0] * share,)

    return kernel


def elementwise_backward_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """The gradient of such a loss: of a mean it is divided by the number of all elements, not of the
    piece's.
    """
    given = bound(template)
    grad = given["grad_output"]
    shape = template.inputs[given["self"].index].shape
    if template.outputs[0].shape != shape:
        return ()
    found = []
    for dim, size in enumerate(shape):
        inputs = _cut_alike(template, shape, dim)
        if inputs is None or not cuts(size, world_size):
            continue
        kernel = (
            functools.partial(_of_mean, template, grad.index, size) if given["reduction"] == _MEAN else None
        )
        found.append(Row(inputs, (Shard(dim),), kernel))
    return (*found, *linear_rows(template, ((grad.index,),)))


def _of_mean(
    template: Template, grad: int, size: int, rank: int, world_size: int, device: torch.device
) -> Kernel:
    """torch divides by the piece's elements; multiply the gradient by the piece's share of the whole
    before.
    """
    start, stop = piece_bounds(size, rank, world_size)
    share, own = (stop - start) / size, template_kernel(template, device)

    def kernel(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
        scaled = list(inputs)
        scaled[grad] = inputs[grad] * share
        return own(scaled, floats)

    return kernel


def nll_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`nll_loss_forward`, `nll_loss2d_forward`: sums (a mean is expanded into two) by batch and by class;
    else by batch.
    """
    given = bound(template)
    scores, target, weight = given["self"].index, given["target"].index, given["weight"]
    shape = template.inputs[scores].shape
    if len(shape) < 2:
        return ()
    found = []
    reduction = given["reduction"]
    if reduction == _MEAN:
        return ()
    for dim in (0, *range(2, len(shape))):
        if cuts(shape[dim], world_size):
            own = dim - (dim > 0)
            outputs: tuple[Placement, ...] = (SUM, SUM)
            if reduction == _NONE:
                outputs = (Shard(own), WHOLE)
            found.append(Row(pick(len(template.inputs), {scores: Shard(dim), target: Shard(own)}), outputs))
    if cuts(shape[1], world_size) and reduction == _SUM and is_float(template.outputs[0]):
        chosen: dict[int, Placement] = {scores: Shard(1)}
        if isinstance(weight, Slot):
            chosen[weight.index] = Shard(0)
        found.append(
            Row(
                pick(len(template.inputs), chosen),
                (SUM, SUM),
                functools.partial(_own_classes, template, target, shape[1], given["ignore_index"]),
            )
        )
    return tuple(found)


def nll_backward_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """Their gradients: the total weight is given, so pieces of the batch and of the classes stand alone."""
    given = bound(template)
    grad, scores, target = given["grad_output"].index, given["self"].index, given["target"].index
    weight, shape = given["weight"], template.inputs[scores].shape
    if len(shape) < 2:
        return ()
    found = []
    for dim in (0, *range(2, len(shape))):
        if cuts(shape[dim], world_size):
            own = dim - (dim > 0)
            chosen: dict[int, Placement] = {scores: Shard(dim), target: Shard(own)}
            if template.inputs[grad].shape:
                chosen[grad] = Shard(own)
            found.append(Row(pick(len(template.inputs), chosen), (Shard(dim),)))
    if cuts(shape[1], world_size):
        chosen = {scores: Shard(1)}
        if isinstance(weight, Slot):
            chosen[weight.index] = Shard(0)
        found.append(
            Row(
                pick(len(template.inputs), chosen),
                (Shard(1),),
                functools.partial(_own_classes, template, target, shape[1], given["ignore_index"]),
            )
        )
    return (*found, *linear_rows(template, ((grad,),)))


def _own_classes(
    template: Template,
    target: int,
    classes: int,
    ignored: int,
    rank: int,
    world_size: int,
    device: torch.device,
) -> Kernel:
    """Targets of other ranks' classes are ignored; one that is nobody's class is an error, as it is in
    torch.
    """
    start, stop = piece_bounds(classes, rank, world_size)
    # -1 is no class of anybody; the ignored index itself may be one.
    own = template_kernel(rewritten(template, ignore_index=-1), device)
    metas = template.outputs

    def kernel(inputs: list[Tensor], floats: Any) -> tuple[Tensor, ...]:
        wanted = inputs[target]
        outside = (wanted != ignored) & ((wanted < 0) | (wanted >= classes))
        if bool(outside.any()):
            raise IndexError(f"Target {int(wanted[outside][0])} is out of bounds.")
        is_own = (wanted >= start) & (wanted < stop) & (wanted != ignored)
        mine = list(inputs)
        mine[target] = torch.where(is_own, wanted - start, -1)
        if start == stop:
            shapes = [meta.shape for meta in metas]
            if shapes[0]:
                shapes[0] = (shapes[0][0], 0, *shapes[0][2:])
            return tuple(
                torch.zeros(shape, dtype=meta.dtype, device=wanted.device)
                for shape, meta in zip(shapes, metas, strict=True)
            )
        return own(mine, floats)

    return kernel
