"""One thread that waits for many sockets."""

__all__ = ["Loop"]

import selectors
from collections.abc import Callable
from typing import Any

from outgrow.shard.wire.connection import Connection


class Loop:
    """Files, and what to call when something happens to them."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._asleep: dict[Any, Callable[[int], None]] = {}

    def turn(self, seconds: float) -> None:
        """Call for everything that has happened; waits so long at most for something to happen."""
        for key, events in self._selector.select(seconds):
            # What was called for before may have ended the watch of this one, or begun another of its number.
            if self._selector.get_map().get(key.fd) is key:
                key.data(events)

    def watch(self, file: Any, events: int, call: Callable[[int], None]) -> None:
        """Call when something happens to a file."""
        self._selector.register(file, events, call)

    def unwatch(self, file: Any) -> None:
        """Call no more; nothing where it is not watched."""
        self._asleep.pop(file, None)
        if file in self._selector.get_map():
            self._selector.unregister(file)

    def watches(self, file: Any) -> bool:
        """Whether it is watched."""
        return file in self._asleep or file in self._selector.get_map()

    def flush(self, connection: Connection) -> None:
        """Send what the kernel takes now, and the rest when it takes more.

        Raises:
            ConnectionEnded: nobody is there any more.
        """
        is_sent = connection.flush()
        self._set(connection, selectors.EVENT_WRITE, is_wanted=not is_sent)

    def listen(self, connection: Connection, *, reads: bool) -> None:
        """Whether to call when something came."""
        self._set(connection, selectors.EVENT_READ, is_wanted=reads)

    def _set(self, connection: Connection, event: int, *, is_wanted: bool) -> None:
        # The selector refuses to watch for nothing, so that a paused line is kept aside meanwhile.
        asleep = self._asleep.pop(connection, None)
        if asleep is not None:
            if is_wanted:
                self._selector.register(connection, event, asleep)
            else:
                self._asleep[connection] = asleep
            return
        key = self._selector.get_key(connection)
        events = key.events | event if is_wanted else key.events & ~event
        if events == key.events:
            return
        if events:
            self._selector.modify(connection, events, key.data)
        else:
            self._selector.unregister(connection)
            self._asleep[connection] = key.data

    def close(self) -> None:
        """Watch nothing any more."""
        self._selector.close()
