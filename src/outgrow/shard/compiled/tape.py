"""What one call of a function sends, noted on its way to the workers."""

__all__ = ["Tape", "taping"]

import contextlib
from collections.abc import Iterator
from typing import Any

from outgrow.errors import InputError
from outgrow.shard.client.session import Session
from outgrow.shard.messages import Ask, Call, Define, Fetch, Message, Reply


class Tape:
    """Stands before a session's link. Lets through what a replay could repeat, refuses what it could not."""

    def __init__(self, link: Any, name: str) -> None:
        self.link, self.name = link, name
        self.calls: list[Call] = []

    def send(self, message: Message) -> None:
        """See `Link.send`."""
        if isinstance(message, Call):
            self.calls.append(message)
        elif not isinstance(message, Define):
            raise InputError(
                f"{self.name} sends new numbers to the workers: a replay would repeat the old ones",
                hint="random ops such as dropout do that, and tensors made here: pass them as arguments",
            )
        self.link.send(message)

    def request(self, message: Fetch | Ask) -> Reply:
        """See `Link.request`."""
        raise InputError(
            f"{self.name} looks at a tensor's numbers while it runs: what it does may depend on them",
            hint="return the tensor and look at it outside",
        )

    def close(self) -> None:
        """See `Link.close`."""
        self.link.close()


@contextlib.contextmanager
def taping(session: Session, name: str) -> Iterator[Tape]:
    """Note what the session sends while inside; what was gathered before goes first, what inside, too."""
    session.flush()
    before = session.link
    tape = Tape(before, name)
    session.link = tape
    try:
        yield tape
        session.flush()
    finally:
        session.link = before
