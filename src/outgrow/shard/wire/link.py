"""A client's end of the line to a dispatcher."""

__all__ = ["DispatcherLost", "WireLink"]

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from outgrow.errors import InputError, RemoteError
from outgrow.shard.messages import Ask, Fetch, Message, Reply
from outgrow.shard.wire.codec import Encoder, decode_reply
from outgrow.shard.wire.connection import Connection, ConnectionEnded
from outgrow.shard.wire.frame import FrameKind, ProtocolError

# Without any setting, Python writes warnings to stderr; `logging.getLogger("outgrow.shard")` changes that.
_log = logging.getLogger("outgrow.shard")


class DispatcherLost(RemoteError):
    """The dispatcher refused to go on, or its process ended; the values that it held are gone."""


class WireLink:
    """Messages over a socket. Threads take turns; a fork of the process cannot use it."""

    def __init__(
        self,
        connection: Connection,
        *,
        on_close: Callable[[], None] | None = None,
        how_it_ended: Callable[[], str] | None = None,
    ) -> None:
        """Takes the line over. `on_close` is called once, `how_it_ended` says what became of the
        dispatcher."""
        self._connection = connection
        self._limit = connection.reader.limit
        self._encoder = Encoder(passes_files=self._connection.passes_files)
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._on_close = on_close
        self._how_it_ended = how_it_ended
        self._failure: str | None = None
        self._hint: str | None = None
        self._is_closed = False

    def send(self, message: Message) -> None:
        """See `Link.send`. What the message holds is copied: it may change as soon as this returns.

        Raises:
            InputError: the message cannot be sent; nothing was.
            DispatcherLost: nobody takes it.
        """
        with self._lock:
            self._check()
            encoded = self._encoder.encode(message)
            size = max(sum(len(part) for part in one.parts) for one in encoded)
            if size > self._limit:
                raise InputError(
                    f"a message of {size:,} bytes is larger than a frame may be, {self._limit:,}",
                    hint="set GT_FRAME_LIMIT to a larger size on both sides, for example 16GiB",
                )
            try:
                for one in encoded:
                    files = () if one.file is None else (one.file,)
                    self._connection.queue(one.kind, *one.parts, files=files)
                    for file in files:
                        os.close(file)
                self._connection.flush_all()
            except ConnectionEnded as err:
                self._lost(err)

    def request(self, message: Fetch | Ask) -> Reply:
        """See `Link.request`.

        Raises:
            DispatcherLost: no answer will come.
        """
        with self._lock:
            self.send(message)
            while True:
                for frame in self._wait():
                    if frame.kind is FrameKind.REFUSED:
                        self._refused(frame.payload)
                    if frame.kind is FrameKind.NOTICE:
                        _log.warning("%s", bytes(frame.payload).decode(errors="replace"))
                        continue
                    reply = decode_reply(frame)
                    for file in frame.files:
                        os.close(file)
                    # An answer to a question whose asker was interrupted may come first.
                    if reply.request == message.request:
                        return reply

    def _wait(self) -> list[Any]:
        try:
            return self._connection.wait()
        except ConnectionEnded as err:
            self._lost(err)
        raise AssertionError("unreachable")

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise InputError(
                "this process is a fork of the one whose session this is, and cannot use its workers",
                hint="use tensors on workers in one process only; start others with the spawn method",
            )
        if self._failure is not None:
            raise DispatcherLost(self._failure, hint=self._hint)
        if self._is_closed:
            raise DispatcherLost("the session is closed", hint="start another one")

    def _lost(self, err: ConnectionEnded) -> None:
        """Find out why, and say so now and at every later use."""
        with contextlib.suppress(ConnectionEnded, ProtocolError):
            for frame in self._connection.receive():
                if frame.kind is FrameKind.REFUSED:
                    self._refused(frame.payload, err)
        how = err.message if self._how_it_ended is None else self._how_it_ended()
        self._failure = f"the dispatcher is gone: {how}"
        self._hint = "values on the workers are lost; start again from a checkpoint of yours"
        raise DispatcherLost(self._failure, hint=self._hint) from err

    def _refused(self, payload: Any, err: BaseException | None = None) -> None:
        told = json.loads(bytes(payload))
        self._failure, self._hint = str(told["message"]), told.get("hint")
        raise DispatcherLost(self._failure, hint=self._hint) from err

    def close(self) -> None:
        """See `Link.close`; may be called again."""
        if self._is_closed:
            return
        self._is_closed = True
        if os.getpid() == self._pid:
            with contextlib.suppress(ConnectionEnded):
                self._connection.queue(FrameKind.CLOSE)
                self._connection.flush_all(time.monotonic() + 1)
        self._connection.close()
        if self._on_close is not None and os.getpid() == self._pid:
            self._on_close()
