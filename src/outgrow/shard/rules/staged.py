"""Rows in the middle of which ranks talk: softmax along a cut dim, batch norm of a cut batch."""

__all__ = ["batch_norm_parts", "softmax_parts"]

import dataclasses
import functools
from typing import Any

import torch

from outgrow.placement import Placement, Shard
from outgrow.shard.instructions import FLOAT, INPUT, Template, TensorMeta
from outgrow.shard.ranks.kernels import Kernel, template_kernel
from outgrow.shard.rules.arguments import Slot, bound, packet_of, position
from outgrow.shard.rules.cuts import cuts, is_even, pick
from outgrow.shard.rules.row import WHOLE, Part, Row


def _one_block(template: Template, place: int, rank: int, world_size: int, device: torch.device) -> Kernel:
    """The op on a piece, which is one block; `place` is where its number of blocks is among the arguments."""
    args = (*template.args[:place], 1, *template.args[place + 1 :])
    return template_kernel(dataclasses.replace(template, args=args), device)


def _dense(shape: tuple[int, ...], dtype: torch.dtype) -> TensorMeta:
    stride, step = [], 1
    for size in reversed(shape):
        stride.append(step)
        step *= max(size, 1)
    return TensorMeta(shape, tuple(reversed(stride)), dtype)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype.itemsize < 4 else dtype


def softmax_parts(template: Template, world_size: int) -> tuple[Row, ...]:
    """`_softmax`, `_log_softmax` and their gradients, cut along the dim that they look along."""
    given, meta, made = bound(template), template.inputs[0], template.outputs[0]
    packet = packet_of(template.op)
    dim = position(given["dim"], len(meta.shape))
    is_log = "log" in packet
    if not meta.shape or made.dtype != meta.dtype or not cuts(meta.shape[dim], world_size):
        return ()
    cut = Shard(dim)
    blocks = (*meta.shape[:dim], world_size, *meta.shape[dim + 1 :])
    sums = _dense(blocks, _wide(meta.dtype))
    count = len(template.inputs)
    if count == 1:
        first = Template(
            op="outgrow.block_log_sum_exp", args=(INPUT, dim, world_size), inputs=(meta,), outputs=(sums,)
        )
        last = Template(
            op="outgrow.softmax_of",
            args=(INPUT, INPUT, dim, is_log),
            inputs=(meta, sums),
            outputs=(made,),
        )
    else:
        first = Template(
            op="outgrow.block_sum",
            args=(INPUT, INPUT, dim, world_size, is_log),
            inputs=template.inputs,
            outputs=(sums,),
        )
        last = Template(
            op="outgrow.softmax_gradient",
            args=(INPUT, INPUT, INPUT, dim, is_log),
            inputs=(*template.inputs, sums),
            outputs=(made,),
        )
    numbers = tuple(range(count))
    place = count + 1
    start = Row((cut,) * count, (cut,), functools.partial(_one_block, first, place))
    end = Row((*(cut,) * count, WHOLE), (cut,))
    parts = ((Part(first, numbers, (-1,), ()), start), (Part(last, (*numbers, -1), (0,), ()), end))
    return (Row((cut,) * count, (cut,), None, parts),)


def batch_norm_parts(template: Template, world_size: int) -> tuple[Row, ...]:
    """Batch norm in training and its gradient, cut along any dim but the channels: each rank tells the others
    the moments of its piece.
    """
    given = bound(template)
    if "save_mean" in given:
        return _gradient_parts(template, given, world_size)
    tensor = given["input"]
    meta = template.inputs[tensor.index]
    floats = sum(value is FLOAT for value in (*template.args, *(value for _, value in template.kwargs)))
    if given.get("training") is not True or floats != 2 or len(meta.shape) < 2:
        return ()
    names = ("weight", "bias", "running_mean", "running_var")
    slots = [given.get(name) if isinstance(given.get(name), Slot) else None for name in names]
    if len(template.mutates) != sum(slot is not None for slot in slots[2:]) or len(template.mutates) == 1:
        return ()
    moments = _dense((world_size, 3, meta.shape[1]), _wide(meta.dtype))
    found = []
    for dim in _cut_dims(meta, world_size):
        first = Template(
            op="outgrow.block_moments", args=(INPUT, dim, world_size), inputs=(meta,), outputs=(moments,)
        )
        extra = [slot.index for slot in slots if slot is not None]
        last = Template(
            op="outgrow.batch_norm_of",
            args=(INPUT, INPUT, *(None if slot is None else INPUT for slot in slots), FLOAT, FLOAT),
            inputs=(meta, moments, *(template.inputs[index] for index in extra)),
            outputs=template.outputs,
        )
        outputs: tuple[Placement, ...] = tuple(
            Shard(dim) if made.shape == meta.shape else WHOLE for made in template.outputs
        )
        start = Row((Shard(dim),), (Shard(0),), functools.partial(_one_block, first, 2))
        end = Row(pick(len(last.inputs), {0: Shard(dim)}), outputs)
        parts = (
            (Part(first, (tensor.index,), (-1,), ()), start),
            (
                Part(last, (tensor.index, -1, *extra), tuple(range(len(outputs))), (0, 1)),
                end,
            ),
        )
        found.append(Row(pick(len(template.inputs), {tensor.index: Shard(dim)}), outputs, None, parts))
    return tuple(found)


def _cut_dims(meta: TensorMeta, world_size: int) -> list[int]:
    return [dim for dim, size in enumerate(meta.shape) if dim != 1 and is_even(size, world_size)]


def _gradient_parts(template: Template, given: dict[str, Any], world_size: int) -> tuple[Row, ...]:
    name = "grad_out" if given.get("grad_out") is not None else "grad_output"
    slots: list[Any] = [given.get(one) for one in (name, "input", "weight", "save_mean", "save_invstd")]
    gradient, tensor, _, mean, inverse = slots
    if given.get("train", given.get("update")) is not True:
        return ()
    if not all(isinstance(slot, Slot) for slot in (gradient, tensor, mean, inverse)):
        return ()
    meta = template.inputs[tensor.index]
    if len(meta.shape) < 2 or template.inputs[mean.index].shape != (meta.shape[1],):
        return ()
    moments = _dense((world_size, 2, meta.shape[1]), _wide(meta.dtype))
    wanted = tuple(given["output_mask"])
    found = []
    for dim in _cut_dims(meta, world_size):
        first = Template(
            op="outgrow.block_gradient_moments",
            args=(INPUT, INPUT, INPUT, dim, world_size),
            inputs=tuple(template.inputs[slot.index] for slot in (gradient, tensor, mean)),
            outputs=(moments,),
        )
        used = [slot.index for slot in slots if isinstance(slot, Slot)]
        last = Template(
            op="outgrow.batch_norm_gradient",
            args=(
                *(INPUT if isinstance(slot, Slot) else None for slot in slots),
                INPUT,
                meta.elements // meta.shape[1],
                wanted,
            ),
            inputs=(*(template.inputs[index] for index in used), moments),
            outputs=template.outputs,
        )
        outputs: tuple[Placement, ...] = tuple(
            Shard(dim) if made.shape == meta.shape else WHOLE for made in template.outputs
        )
        cut = {gradient.index: Shard(dim), tensor.index: Shard(dim)}
        start = Row((Shard(dim), Shard(dim), WHOLE), (Shard(0),), functools.partial(_one_block, first, 4))
        end = Row((Shard(dim), Shard(dim), *(WHOLE,) * (len(last.inputs) - 2)), outputs)
        parts = (
            (Part(first, (gradient.index, tensor.index, mean.index), (-1,), ()), start),
            (Part(last, (*used, -1), tuple(range(len(outputs))), ()), end),
        )
        found.append(Row(pick(len(template.inputs), dict(cut)), outputs, None, parts))
    return tuple(found)
