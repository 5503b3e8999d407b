"""All ranks in the client's own process."""

__all__ = ["SimulatedLink"]

import torch

from outgrow.shard.messages import Ask, Fetch, Message, Reply
from outgrow.shard.ranks.executor import Executor
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric

_OUTSIDE = (torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set())
"""What torch does for a tensor besides its op, as a process of its own has it. A message may be sent from within an op, where
torch has turned off what was done before: conjugate and negated views would be read as they lie in memory."""


class SimulatedLink:
    """Hands every message to an executor at once."""

    def __init__(self, world_size: int) -> None:
        self.executor = Executor(SimulatedFabric(world_size))

    def send(self, message: Message) -> None:
        """See `Link.send`."""
        with torch._C._ForceDispatchKeyGuard(*_OUTSIDE):
            self.executor.handle(message)

    def request(self, message: Fetch | Ask) -> Reply:
        """See `Link.request`."""
        with torch._C._ForceDispatchKeyGuard(*_OUTSIDE):
            reply = self.executor.handle(message)
        assert reply is not None
        return reply

    def close(self) -> None:
        """See `Link.close`."""
