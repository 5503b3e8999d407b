"""Ranks that come by themselves to a dispatcher: `outgrow shard worker`, and the processes of torchrun."""

__all__ = ["serve_ranks"]

import os
import time
from typing import Any

import torch

from outgrow.shard.engines.remote import reach
from outgrow.shard.ranks.worker import serve_rank
from outgrow.shard.wire.address import Address

_AGAIN_SECONDS = 10.0


def serve_ranks(
    address: Address,
    token: bytes,
    *,
    rank: int | None = None,
    local_rank: int = 0,
    local_world_size: int = 1,
    threads: int | None = None,
    timeout_seconds: float = 30.0,
) -> None:
    """Be a rank of the dispatcher at the address until it needs us no more; when its ranks begin anew, so do
    we.

    This machine's cores and GPUs are shared among `local_world_size` ranks, of which this is number
    `local_rank`.

    Raises:
        DispatcherUnreachable: it could not be reached at first, or is gone without a word.
        HandshakeFailed: it would not have us.
    """
    cores = len(os.sched_getaffinity(0))
    gpus = torch.cuda.device_count()
    own: dict[str, Any] = {
        "threads": threads or max(1, cores // local_world_size),
        "cores": cores,
        "device": f"cuda:{local_rank % gpus}" if gpus else "cpu",
    }
    while True:
        connection = reach(address, token, role="rank", rank=rank, timeout_seconds=timeout_seconds)
        began = time.monotonic()
        if serve_rank(connection, own):
            return
        timeout_seconds = _AGAIN_SECONDS
        if time.monotonic() - began < 1.0:
            time.sleep(0.2)  # a dispatcher that lets go of us at once shall not be asked as fast as we can
