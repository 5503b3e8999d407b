"""How many threads a rank computes with: its share of the cores, or all of them while it works alone."""

__all__ = ["CoreShare"]

import os

import torch

from outgrow.shard.ranks.fabric import Fabric


class CoreShare:
    """Sets torch's threads where that is needed: changing them costs as much as a small op."""

    def __init__(self, fabric: Fabric) -> None:
        self._is_alone_here = len(fabric.lanes) == 1 and fabric.world_size > 1 and fabric.device.type == "cpu"
        self._shared = torch.get_num_threads()
        """What the rank was started with."""
        self._all = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._is_solo = False
        self._does_work = 0 in fabric.lanes

    def share(self, *, is_solo: bool = False) -> None:
        """From now on one rank works alone, or all of them do."""
        if is_solo == self._is_solo or not self._is_alone_here or not self._does_work:
            return
        self._is_solo = is_solo
        torch.set_num_threads(self._all if is_solo else self._shared)
