"""Workers of a dispatcher that somebody else started."""

__all__ = ["DispatcherUnreachable", "connect_to", "default_token_file", "reach", "served_here", "token_for"]

import contextlib
import socket
import time
from pathlib import Path

from outgrow.cache import cache_directory
from outgrow.errors import InputError, RemoteError
from outgrow.shard.environment import Environment
from outgrow.shard.wire.address import Address
from outgrow.shard.wire.connection import Connection, ConnectionEnded
from outgrow.shard.wire.frame import ProtocolError
from outgrow.shard.wire.handshake import HANDSHAKE_BYTES, present
from outgrow.shard.wire.link import WireLink
from outgrow.shard.wire.token import find_token, read_token_file

_PAUSE_SECONDS = 0.1


class DispatcherUnreachable(RemoteError):
    """Nobody answers at the address, or whoever does is no dispatcher."""


def connect_to(
    address: str,
    *,
    token: str | None = None,
    token_file: Path | None = None,
    timeout_seconds: float = 10.0,
) -> WireLink:
    """A session with the workers of the dispatcher at `tcp://host:port`, `host:port`, `unix:/path` or
    `unix:@name`.

    The token is that given, or in the file, or in `GT_TOKEN`; a dispatcher that a program of the same user
    started on this machine wants none.

    Raises:
        InputError: the address or the token is none.
        DispatcherUnreachable: no dispatcher answered in time.
        HandshakeFailed: it would not have us: the token, or the version.
    """
    limit = Environment.read().frame_limit_bytes
    place = Address.parse(address)
    secret = token_for(place, token=token, token_file=token_file)
    connection = reach(place, secret, role="client", timeout_seconds=timeout_seconds)
    connection.reader.limit = limit
    return WireLink(connection)


def token_for(address: Address, *, token: str | None = None, token_file: Path | None = None) -> bytes:
    """The token that is given, or else what `outgrow shard serve` of the same user left for the port, or else
    none.

    Raises:
        InputError: what is given is no token, or others could have read it.
    """
    found = find_token(token, token_file)
    if found is None and address.path is None and address.is_loopback:
        path = default_token_file(address.port)
        found = read_token_file(path) if path.exists() else None
    if found is None and address.path is None:
        raise InputError(
            f"{address} wants a token, and none is given",
            hint="set GT_TOKEN, or give the token or its file; `outgrow shard serve` says where it is",
        )
    return found or b""


def reach(
    address: Address, token: bytes, *, role: str, rank: int | None = None, timeout_seconds: float = 10.0
) -> Connection:
    """A line to a dispatcher that knows who we are; tried again while nobody listens.

    Raises:
        DispatcherUnreachable: as `connect_to`.
        HandshakeFailed: as `connect_to`.
    """
    started = time.monotonic()
    deadline = started + timeout_seconds
    while True:
        try:
            opened = address.connect(max(0.1, deadline - time.monotonic()))
            break
        except OSError as err:
            if time.monotonic() + _PAUSE_SECONDS >= deadline:
                raise DispatcherUnreachable(
                    f"no dispatcher answers at {address}, tried for {time.monotonic() - started:.1f} s: "
                    f"{err.strerror or err}",
                    hint="is `outgrow shard serve` running there, and is the port open?",
                ) from err
            time.sleep(_PAUSE_SECONDS)
    connection = Connection(opened, limit=HANDSHAKE_BYTES)
    try:
        present(connection, token, role=role, rank=rank, host=socket.gethostname(), deadline=deadline)
    except (ConnectionEnded, ProtocolError) as err:
        connection.close()
        raise DispatcherUnreachable(
            f"whoever answers at {address} is no dispatcher, or too busy: {err.message}",
            hint="check the address; `outgrow shard serve` prints its own",
        ) from err
    except BaseException:
        connection.close()
        raise
    return connection


def default_token_file(port: int) -> Path:
    """Where `outgrow shard serve` leaves the token of a port while it runs, and where programs of the same
    user look for it."""
    return cache_directory() / "shard" / f"{port}.token"


def served_here() -> list[Address]:
    """Where `outgrow shard serve` of this user listens on this machine."""
    found = []
    for file in sorted(default_token_file(0).parent.glob("*.token")):
        if file.stem.isdecimal() and 0 < int(file.stem) < 1 << 16:
            address = Address(host="127.0.0.1", port=int(file.stem))
            # A killed one leaves its file.
            with contextlib.suppress(OSError):
                address.connect(1.0).close()
                found.append(address)
    return found
