"""All ranks in the client's own process."""

__all__ = ["SimulatedLink"]

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from outgrow.shard.messages import Ask, Fetch, Message, Reply
from outgrow.shard.ranks.executor import Executor
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric


@functools.cache
def _fresh() -> tuple[Any, Any]:
    """What torch does for a tensor around its op, as in a thread that runs no op: the link may be made within
    one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(
            lambda: (torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set())
        ).result()


class SimulatedLink:
    """Hands every message to an executor at once."""

    def __init__(self, world_size: int) -> None:
        self.executor = Executor(SimulatedFabric(world_size))
        # A message may be sent from within an op, where torch has turned off what it did before it: pieces
        # that are
        # conjugate views would be read as they lie in memory.
        self._outside = _fresh()

    def send(self, message: Message) -> None:
        """See `Link.send`."""
        with torch._C._ForceDispatchKeyGuard(*self._outside):
            self.executor.handle(message)

    def request(self, message: Fetch | Ask) -> Reply:
        """See `Link.request`."""
        with torch._C._ForceDispatchKeyGuard(*self._outside):
            reply = self.executor.handle(message)
        assert reply is not None
        return reply

    def close(self) -> None:
        """See `Link.close`."""
