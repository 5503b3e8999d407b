"""What ranks do together in the middle of a program, over the tensors of all lanes at once."""

__all__ = ["Exchange", "moving", "starting", "waiting"]

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from outgrow.placement import Placement
from outgrow.shard.instructions import TensorMeta
from outgrow.shard.ranks.fabric import Fabric
from outgrow.shard.ranks.redistribute import redistribute

Exchange = Callable[[Sequence[tuple[Any, ...]]], list[Any]]
"""From what each lane brings to what each lane receives."""


def moving(meta: TensorMeta, old: Placement, new: Placement, fabric: Fabric) -> Exchange:
    """Each lane brings its piece and receives its new one."""

    def move(lanes: Sequence[tuple[Any, ...]]) -> list[Any]:
        return redistribute([piece for (piece,) in lanes], meta, old, new, fabric)

    return move


def starting(metas: Sequence[TensorMeta], reduction: str, fabric: Fabric) -> Exchange:
    """Each lane brings tensors of whole shapes, all of one dtype, that may be written, and receives a handle
    at once.

    Several go into one flat buffer, made anew for each call: the results outlive it where somebody keeps
    them.
    """
    shapes = [meta.shape for meta in metas]
    counts = [meta.elements for meta in metas]

    def start(lanes: Sequence[tuple[Any, ...]]) -> list[Any]:
        buffers, results = [], []
        for tensors in lanes:
            buffer, own = _gather(tensors, shapes, counts)
            buffers.append(buffer)
            results.append(own)
        pending = fabric.start_all_reduce(buffers, reduction)
        return [(pending, own) for own in results]

    return start


def waiting() -> Exchange:
    """Each lane brings its handle and receives the reduced tensors, each in memory of its own or a part of
    its own.
    """

    def wait(lanes: Sequence[tuple[Any, ...]]) -> list[Any]:
        for ((pending, _),) in lanes[:1]:
            pending.wait()
        return [own for ((_, own),) in lanes]

    return wait


def _gather(
    tensors: tuple[Tensor, ...], shapes: list[tuple[int, ...]], counts: list[int]
) -> tuple[Tensor, list[Tensor]]:
    if len(tensors) == 1:
        whole = tensors[0].contiguous()
        return whole.view(-1), [whole]
    buffer = torch.empty(sum(counts), dtype=tensors[0].dtype, device=tensors[0].device)
    parts = [part.view(shape) for part, shape in zip(torch.split(buffer, counts), shapes, strict=True)]
    torch._foreach_copy_(parts, tensors)
    return buffer, parts
