"""Where clients and ranks that nobody forked come in: listeners, and whoever has not proved yet who it is."""

__all__ = ["Reception"]

import contextlib
import functools
import json
import os
import selectors
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol

from outgrow.errors import OutgrowError
from outgrow.shard.wire.connection import Connection, ConnectionEnded
from outgrow.shard.wire.frame import FrameKind
from outgrow.shard.wire.handshake import HANDSHAKE_BYTES, Guest, HandshakeFailed, Host

_SAME = "connect with outgrow itself, of the same version on both sides; on a machine under load, once more"

_CREDENTIALS = struct.Struct("iII")


class Watching(Protocol):
    """A loop that calls when something happens to a file."""

    def watch(self, file: Any, events: int, call: Callable[[int], None]) -> None:
        """Begin."""
        ...

    def unwatch(self, file: Any) -> None:
        """End."""
        ...


class Newcomer:
    """A line whose other end has not proved anything yet."""

    def __init__(self, connection: Connection, token: bytes, deadline: float) -> None:
        self.connection = connection
        self.host = Host(token)
        self.deadline = deadline


class Reception:
    """Lets in who knows the token, and keeps strangers small: few, short, and not for long."""

    MOST = 64
    """Newcomers at once; the next one is turned away."""
    SECONDS = 5.0
    """A newcomer that has proved nothing by then is turned away."""

    def __init__(
        self,
        loop: Watching,
        check: Callable[[Guest], None],
        welcome: Callable[[Connection, Guest], None],
    ) -> None:
        """`check` raises an OutgrowError where there is no place for somebody; `welcome` takes the connection
        over."""
        self._loop = loop
        self._check = check
        self._welcome = welcome
        self._listeners: list[socket.socket] = []
        self.newcomers: list[Newcomer] = []

    def listen(self, listener: socket.socket, token: bytes | None) -> None:
        """Let people in there. Without a token, who comes must be a process of the same user (Unix
        sockets)."""
        if token is None and listener.family != socket.AF_UNIX:
            raise ValueError("over a network a token is needed")
        listener.setblocking(False)
        self._listeners.append(listener)
        self._loop.watch(listener, selectors.EVENT_READ, lambda events: self._accept(listener, token))

    def _accept(self, listener: socket.socket, token: bytes | None) -> None:
        try:
            opened, _ = listener.accept()
        except OSError:  # it went away before we looked, or there are no descriptors left: later
            return
        if len(self.newcomers) >= self.MOST or (token is None and not _is_own(opened)):
            opened.close()
            return
        connection = Connection(opened, limit=HANDSHAKE_BYTES)
        newcomer = Newcomer(connection, token or b"", time.monotonic() + self.SECONDS)
        self.newcomers.append(newcomer)
        connection.queue(FrameKind.CHALLENGE, newcomer.host.challenge())
        self._loop.watch(connection, selectors.EVENT_READ, functools.partial(self._hear, newcomer))
        with contextlib.suppress(ConnectionEnded):
            connection.flush()

    def _hear(self, newcomer: Newcomer, events: int) -> None:
        connection = newcomer.connection
        try:
            frames = connection.receive()
            if not frames:
                return
            guest, welcome = newcomer.host.judge(frames[0])
            if len(frames) > 1 or connection.reader.files:
                raise HandshakeFailed("more than a proof came", hint=_SAME)
            self._check(guest)
        except ConnectionEnded:
            self._drop(newcomer)
            return
        except OutgrowError as err:
            self._turn_away(newcomer, err)
            return
        self.newcomers.remove(newcomer)
        self._loop.unwatch(connection)
        connection.queue(FrameKind.WELCOME, welcome)
        self._welcome(connection, guest)

    def tick(self, seconds: float) -> None:
        """Turn away who took too long."""
        for newcomer in [one for one in self.newcomers if one.deadline <= seconds]:
            self._turn_away(newcomer, HandshakeFailed(f"no proof came in {self.SECONDS:.0f} s", hint=_SAME))

    def _turn_away(self, newcomer: Newcomer, err: OutgrowError) -> None:
        self._say_no(newcomer.connection, err)
        self._drop(newcomer)

    def _say_no(self, connection: Connection, err: OutgrowError) -> None:
        body = json.dumps({"message": err.message, "hint": err.hint}).encode()
        with contextlib.suppress(ConnectionEnded):
            connection.queue(FrameKind.REFUSED, body)
            connection.flush()

    def _drop(self, newcomer: Newcomer) -> None:
        self.newcomers.remove(newcomer)
        self._loop.unwatch(newcomer.connection)
        newcomer.connection.close()

    def close(self) -> None:
        """Let nobody in any more."""
        for newcomer in list(self.newcomers):
            self._drop(newcomer)
        for listener in self._listeners:
            self._loop.unwatch(listener)
            listener.close()
        self._listeners.clear()


def _is_own(opened: socket.socket) -> bool:
    """Whether the other end is a process of this user."""
    data = opened.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(data)
    return bool(user == os.getuid())
