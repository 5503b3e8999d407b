"""Which workers a program gets that asked for none."""

__all__ = ["start_default"]

import torch

from outgrow.errors import InputError
from outgrow.quantities import format_count
from outgrow.shard.client.link import Link
from outgrow.shard.engines.local import start_local
from outgrow.shard.engines.torchrun import is_under_torchrun, start_torchrun
from outgrow.shard.environment import Environment
from outgrow.shard.narration import narrated


def start_default(asked: int | None = None, memory_bytes: int | None = None) -> Link:
    """Those of torchrun, where it started this program; else local ones, as many as the environment says,
    or `asked` where it says nothing; each holds `memory_bytes` at most, where given.

    Raises:
        InputError: the environment says what cannot be, or the workers of torchrun are to have less memory.
    """
    environment = Environment.read()
    if is_under_torchrun():
        if memory_bytes is not None:
            raise InputError(
                "the workers of torchrun were started without a limit on their memory",
                hint="set GT_WORKER_MEMORY where torchrun starts, and leave memory= out",
            )
        return narrated(start_torchrun(), environment, "with the workers of torchrun")
    count = environment.world_size(torch.cuda.device_count(), asked)
    title = f"{format_count(count, 'worker')} on this machine"
    return narrated(start_local(count, memory_bytes=memory_bytes), environment, title)
