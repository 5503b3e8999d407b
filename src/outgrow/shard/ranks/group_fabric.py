"""Ranks that are processes of their own: collectives of torch.distributed, one lane each."""

__all__ = ["GroupFabric"]

import math
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from outgrow.shard.ranks.pieces import piece_bounds, piece_of

# What gloo adds up as it is; the others are added up in a wider type and rounded once, whatever the ranks'
# number.
_ADDED = (torch.float32, torch.float64, torch.int32, torch.int64, torch.uint8, torch.int8)
_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class GroupFabric:
    """One rank of a group; every rank must call the same methods in the same order."""

    def __init__(
        self,
        *,
        rank: int,
        world_size: int,
        store: Any,
        backend: str = "gloo",
        device: torch.device | None = None,
        timeout_seconds: float = 1800.0,
    ) -> None:
        """Joins the group, which waits for all ranks; a single rank needs no group and no store.

        Raises:
            RuntimeError: not all ranks came in time.
        """
        self.rank = rank
        self.world_size = world_size
        self.store = store
        """Where the ranks met; None for one alone."""
        self.lanes: tuple[int, ...] = (rank,)
        self.device = device or torch.device("cpu")
        self.exchanged_bytes = 0
        """Given to collectives so far."""
        # The group's own methods, not those of `torch.distributed`: these cost 20 us each in bookkeeping, and
        # their names change.
        self._group: Any = None
        if world_size > 1:
            dist.init_process_group(
                backend,
                store=store,
                rank=rank,
                world_size=world_size,
                timeout=timedelta(seconds=timeout_seconds),
            )
            self._group = dist.group.WORLD

    def all_reduce(self, pieces: list[Tensor], reduction: str) -> list[Tensor]:
        """See `Fabric.all_reduce`. The bits are the same on all ranks and in every run."""
        (piece,) = pieces
        if self.world_size == 1:
            return [piece]
        return [self._reduced(piece, reduction)]

    def start_all_reduce(self, buffers: list[Tensor], reduction: str) -> "_UnderWay":
        """See `Fabric.start_all_reduce`: `sum` and `avg` of floats."""
        (buffer,) = buffers
        if self.world_size == 1:
            return _UnderWay(None, buffer, buffer, 1)
        if reduction not in ("sum", "avg") or buffer.dtype not in _FLOATS:
            raise ValueError(f"{reduction} of {buffer.dtype} cannot be done while others run")
        wide = buffer.to(_dtype_of_sum(buffer.dtype))
        work = self._group.allreduce([wide])
        self._count(wide)
        return _UnderWay(work, buffer, wide, self.world_size if reduction == "avg" else 1)

    def all_gather(self, pieces: list[Tensor], dim: int, size: int) -> list[Tensor]:
        """See `Fabric.all_gather`."""
        (piece,) = pieces
        if self.world_size == 1:
            return [piece]
        shape = (*piece.shape[:dim], size, *piece.shape[dim + 1 :])
        step = -(-size // self.world_size)
        if math.prod(shape) == 0:
            return [piece.new_empty(shape)]
        front = piece.movedim(dim, 0).contiguous()
        if len(front) < step:
            padded = front.new_zeros((step, *front.shape[1:]))
            padded[: len(front)] = front
            front = padded
        whole = front.new_empty((step * self.world_size, *front.shape[1:]))
        self._gather(whole, front)
        # Every rank but the last ones holds a full step, so that what is too much is all at the end.
        return [whole[:size].movedim(0, dim).contiguous()]

    def reduce_scatter(self, pieces: list[Tensor], dim: int, reduction: str) -> list[Tensor]:
        """See `Fabric.reduce_scatter`."""
        (piece,) = pieces
        if self.world_size == 1:
            return [piece]
        size = piece.shape[dim]
        start, stop = piece_bounds(size, self.rank, self.world_size)
        if piece.dtype not in _FLOATS or reduction not in ("sum", "avg") or piece.numel() == 0:
            whole = self._reduced(piece, reduction)
            return [whole.narrow(dim, start, stop - start).contiguous()]
        step = -(-size // self.world_size)
        front = piece.movedim(dim, 0).contiguous()
        if len(front) < step * self.world_size:
            padded = front.new_zeros((step * self.world_size, *front.shape[1:]))
            padded[:size] = front
            front = padded
        front = front.to(_dtype_of_sum(front.dtype))
        own = front.new_empty((step, *front.shape[1:]))
        self._group._reduce_scatter_base(own, front).wait()
        self._count(front)
        if reduction == "avg":
            own /= self.world_size
        return [own[: stop - start].movedim(0, dim).to(piece.dtype).contiguous()]

    def all_to_all(self, pieces: list[Tensor], from_dim: int, to_dim: int, size: int) -> list[Tensor]:
        """See `Fabric.all_to_all`."""
        (piece,) = pieces
        if self.world_size == 1 or from_dim == to_dim:
            return [piece]
        ranks = range(self.world_size)
        sent = [piece_of(piece, to_dim, rank, self.world_size) for rank in ranks]
        own = list(sent[self.rank].shape)
        shapes = []
        for rank in ranks:
            start, stop = piece_bounds(size, rank, self.world_size)
            shapes.append((*own[:from_dim], stop - start, *own[from_dim + 1 :]))
        lengths = [math.prod(shape) for shape in shapes]
        given = torch.cat([one.reshape(-1) for one in sent])
        taken = piece.new_empty(sum(lengths))
        width = piece.dtype.itemsize
        self._group.alltoall_base(
            _raw(taken),
            _raw(given),
            [length * width for length in lengths],
            [one.numel() * width for one in sent],
        ).wait()
        self._count(given)
        parts = [part.reshape(shape) for part, shape in zip(torch.split(taken, lengths), shapes, strict=True)]
        return [torch.cat(parts, from_dim)]

    def broadcast(
        self, pieces: list[Tensor | None], source: int, shape: tuple[int, ...], dtype: torch.dtype
    ) -> list[Tensor]:
        """See `Fabric.broadcast`."""
        (piece,) = pieces
        if self.rank == source:
            assert piece is not None
            whole = piece.contiguous()
        else:
            whole = torch.empty(shape, dtype=dtype, device=self.device)
        if self.world_size > 1 and whole.numel():
            self._group.broadcast(_raw(whole), source).wait()
            self._count(whole)
        return [whole]

    def _reduced(self, piece: Tensor, reduction: str) -> Tensor:
        if piece.numel() == 0:
            return piece / self.world_size if reduction == "avg" else piece
        if reduction in ("max", "min"):
            return self._extreme(piece, reduction)
        if piece.is_complex():
            parts = torch.view_as_real(piece.resolve_conj().contiguous())
            return torch.view_as_complex(self._reduced(parts, reduction))
        if piece.dtype is torch.bool:  # torch adds bools as `or`
            whole = self._extreme(piece, "max")
        else:
            wide = _dtype_of_sum(piece.dtype)
            whole = piece.to(wide, copy=True, memory_format=torch.contiguous_format)
            self._group.allreduce([whole]).wait()
            self._count(whole)
            whole = whole.to(piece.dtype)
        return whole / self.world_size if reduction == "avg" else whole

    def _extreme(self, piece: Tensor, reduction: str) -> Tensor:
        """In the order of the ranks, with NaN where any rank has NaN: gloo's own maximum loses it."""
        own = piece.contiguous().reshape(1, -1)
        whole = own.new_empty((self.world_size, own.shape[1]))
        self._gather(whole, own)
        choose = torch.maximum if reduction == "max" else torch.minimum
        result = whole[0]
        for rank in range(1, self.world_size):
            result = choose(result, whole[rank])
        return result.reshape(piece.shape)

    def _gather(self, whole: Tensor, own: Tensor) -> None:
        self._group._allgather_base(_raw(whole), _raw(own)).wait()
        self._count(own)

    def _count(self, given: Tensor) -> None:
        self.exchanged_bytes += given.numel() * given.dtype.itemsize

    def close(self) -> None:
        """Leave the group."""
        if self._group is not None:
            dist.destroy_process_group()
            self._group = None


class _UnderWay:
    """See `Pending`."""

    def __init__(self, work: Any, buffer: Tensor, wide: Tensor, divisor: int) -> None:
        self._work, self._buffer, self._wide, self._divisor = work, buffer, wide, divisor

    def wait(self) -> None:
        """See `Pending.wait`."""
        if self._work is None:
            return
        self._work.wait()
        if self._divisor != 1:
            self._wide /= self._divisor
        if self._wide is not self._buffer:
            self._buffer.copy_(self._wide)


def _raw(tensor: Tensor) -> Tensor:
    """The bytes of a contiguous tensor: what is only moved needs no arithmetic of its dtype."""
    return tensor.reshape(-1).view(torch.uint8)


def _dtype_of_sum(dtype: torch.dtype) -> torch.dtype:
    if dtype in _ADDED:
        return dtype
    return torch.float32 if dtype.is_floating_point else torch.int64
