"""How a client's messages reach its workers."""

__all__ = ["Link"]

from typing import Protocol

from outgrow.shard.messages import Ask, Fetch, Message, Reply


class Link(Protocol):
    """How messages reach the workers."""

    def send(self, message: Message) -> None:
        """Hand a message over; may wait where too much is under way."""
        ...

    def request(self, message: Fetch | Ask) -> Reply:
        """Hand a question over and wait for its answer."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...
