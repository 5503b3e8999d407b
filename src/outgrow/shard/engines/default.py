"""Which workers a program gets that asked for none."""

__all__ = ["start_default"]

import torch

from outgrow.shard.engines.local import start_local
from outgrow.shard.engines.torchrun import is_under_torchrun, start_torchrun
from outgrow.shard.environment import Environment
from outgrow.shard.wire.link import WireLink


def start_default() -> WireLink:
    """Those of torchrun, where it started this program; else local ones, as many as the environment says.

    Raises:
        InputError: the environment says what cannot be.
    """
    if is_under_torchrun():
        return start_torchrun()
    return start_local(Environment.read().world_size(torch.cuda.device_count()))
