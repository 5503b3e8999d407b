"""A connection that does not wait for ever for the other end."""

__all__ = ["Connection"]

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


class Connection(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, and time-outs of every stage of a call that a client could draw out.

    uvicorn has one for connections at rest alone. A client that sends a byte now and then, or never reads,
    would keep a connection, a task and what its call has open.
    """

    look_seconds = 2.0
    """How often it looks whether something has moved."""
    head_seconds = 15.0
    """For the head of a call, from the first moment on, and for the rest of a body that nobody wants."""
    still_seconds = 30.0
    """Without a byte of a body that is waited for, or with no byte of an answer taken."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._watch: asyncio.TimerHandle | None = None
        self._moved = self.loop.time()
        self._unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio wants it."""
        super().connection_made(transport)
        self._watch = self.loop.call_later(self.look_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio wants it."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As asyncio wants it."""
        if self._is_in_call:
            self._moved = self.loop.time()
        super().data_received(data)

    def on_response_complete(self) -> None:
        """The next head may be on its way."""
        self._moved = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """As uvicorn does, which forgets the call that is in progress: its answer would come second."""
        if self._is_in_call:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.abort()
                return
        super().send_400_response(msg)

    def drop(self) -> None:
        """End a call that has no answer yet: nobody will wait for it."""
        if self._is_in_call:
            self.transport.abort()

    @property
    def _is_in_call(self) -> bool:
        return self._call is not None and not self._call.response_complete

    @property
    def _call(self) -> RequestResponseCycle | None:
        """The latest; uvicorn has none before the first."""
        return self.cycle

    def _look(self) -> None:
        now = self.loop.time()
        seconds = self._seconds_allowed()
        if seconds is None:
            self._moved = now
        elif now > self._moved + seconds:
            self.transport.abort()
            return
        self._watch = self.loop.call_later(self.look_seconds, self._look)

    def _seconds_allowed(self) -> float | None:
        """Since something moved; None where it is not the client's turn, or uvicorn counts itself."""
        unsent = self.transport.get_write_buffer_size()
        if unsent:
            if unsent != self._unsent:
                self._unsent, self._moved = unsent, self.loop.time()
            return self.still_seconds
        call = self._call
        if call is None or call.response_complete:
            is_at_rest = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
            return None if is_at_rest and call is not None else self.head_seconds
        return self.still_seconds if call.more_body and not self.flow.read_paused else None
