"""All ranks in the client's own process."""

__all__ = ["SimulatedLink"]

from outgrow.shard.messages import Ask, Fetch, Message, Reply
from outgrow.shard.ranks.executor import Executor
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric


class SimulatedLink:
    """Hands every message to an executor at once."""

    def __init__(self, world_size: int) -> None:
        self.executor = Executor(SimulatedFabric(world_size))

    def send(self, message: Message) -> None:
        """See `Link.send`."""
        self.executor.handle(message)

    def request(self, message: Fetch | Ask) -> Reply:
        """See `Link.request`."""
        reply = self.executor.handle(message)
        assert reply is not None
        return reply

    def close(self) -> None:
        """See `Link.close`."""
