"""What one rank knows, told to all: small JSON and flags, at points that all ranks reach alike."""

__all__ = ["any_rank", "from_first_rank"]

import json
from collections.abc import Callable, Sequence
from typing import Any

import torch

from outgrow.shard.ranks.fabric import Fabric


def from_first_rank(fabric: Fabric, make: Callable[[], Any]) -> Any:
    """What `make` gives on rank 0, as JSON, on every rank."""
    is_first = 0 in fabric.lanes
    made = json.dumps(make(), sort_keys=True) if is_first else ""
    if len(fabric.lanes) == fabric.world_size:
        return json.loads(made)
    data = made.encode()
    own = [torch.tensor([len(data)]) if rank == 0 else None for rank in fabric.lanes]
    length = int(fabric.broadcast(own, 0, (1,), torch.int64)[0])
    buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8) if is_first else None
    held = [buffer if rank == 0 else None for rank in fabric.lanes]
    received = fabric.broadcast(held, 0, (length,), torch.uint8)[0]
    return json.loads(received.cpu().numpy().tobytes())


def any_rank(fabric: Fabric, flags: Sequence[bool]) -> list[bool]:
    """For each flag, whether any rank raised it."""
    own = torch.tensor([float(flag) for flag in flags])
    reduced = fabric.all_reduce([own for _ in fabric.lanes], "max")[0]
    return [bool(flag) for flag in reduced.tolist()]
