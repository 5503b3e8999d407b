"""A dispatcher that programs connect to: `outgrow shard serve`."""

__all__ = ["make_dispatcher"]

import socket
from pathlib import Path

import torch

from outgrow.errors import InputError
from outgrow.shard.dispatch.dispatcher import Dispatcher
from outgrow.shard.engines.processes import ForkedRanks
from outgrow.shard.environment import Environment
from outgrow.shard.recovery.gang_supervisor import GangSupervisor


def make_dispatcher(
    listener: socket.socket,
    token: bytes,
    *,
    workers: int,
    world_size: int | None = None,
    instruction_log: Path | None = None,
) -> Dispatcher:
    """A dispatcher with `workers` ranks of its own; up to `world_size` the others come by themselves. It has
    not started: `run` serves until `stop`.

    Raises:
        InputError: fewer than one rank in all, or more of its own than there are; the log cannot be written.
    """
    count = workers if world_size is None else world_size
    if workers < 0 or count < 1 or workers > count:
        raise InputError(
            f"{workers} workers of {count} cannot be served",
            hint="--workers is how many start here, --world-size how many there are in all, at least 1",
        )
    environment = Environment.read()
    source = ForkedRanks(
        count,
        gpus=torch.cuda.device_count(),
        memory_bytes=environment.worker_memory_bytes,
        forked=workers,
    )
    try:
        dispatcher = Dispatcher(
            count,
            source,
            supervisor=GangSupervisor(),
            frame_limit=environment.frame_limit_bytes,
            instruction_log=instruction_log or environment.instruction_log,
        )
    except OSError as err:
        raise InputError(
            f"{err.filename}: the instruction log cannot be written: {err.strerror}",
            hint="choose another path",
        ) from err
    dispatcher.reception.listen(listener, token)
    return dispatcher
