"""How two of our processes come to trust each other: each proves that it knows the token without saying it.

The one that listens sends a challenge, the one that comes a proof, the first one its own proof. Before that
no more than a few kilobytes are read. Both are the same version, or part with a message that says which.
"""

__all__ = ["HANDSHAKE_BYTES", "PROTOCOL", "Guest", "HandshakeFailed", "Host", "present"]

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any

import torch

from outgrow import __version__
from outgrow.errors import RemoteError
from outgrow.shard.wire.connection import Connection
from outgrow.shard.wire.frame import Frame, FrameKind, ProtocolError

PROTOCOL = 1
"""Rises when what passes between processes changes."""
HANDSHAKE_BYTES = 4096
"""No frame is longer before both sides trust each other."""
_ROLES = ("client", "rank")


class HandshakeFailed(RemoteError):
    """The other side would not have us, or we not it: the token, or a version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Who came."""

    role: str
    """`client` or `rank`."""
    rank: int | None
    """Which rank it wants to be; None for any that is missing."""
    host: str
    """How it calls its machine."""


def _versions() -> dict[str, Any]:
    return {"protocol": PROTOCOL, "outgrow": __version__, "torch": torch.__version__.partition("+")[0]}


class Host:
    """The side that listens: `challenge`, then `judge` what comes back."""

    def __init__(self, token: bytes) -> None:
        self._token = token
        self._nonce = secrets.token_hex(32)

    def challenge(self) -> bytes:
        """Payload of the first frame."""
        return json.dumps({**_versions(), "nonce": self._nonce}).encode()

    def judge(self, frame: Frame) -> tuple[Guest, bytes]:
        """Who came, and the payload of the frame that welcomes it.

        Raises:
            HandshakeFailed: it does not know the token, or is another version.
            ProtocolError: it said something else.
        """
        if frame.kind is not FrameKind.PROOF:
            raise ProtocolError(f"a {frame.kind.name} came instead of a proof")
        told = _object(frame)
        nonce, proof, role, rank = (told.get(name) for name in ("nonce", "proof", "role", "rank"))
        if not isinstance(nonce, str) or not isinstance(proof, str) or role not in _ROLES:
            raise ProtocolError("a proof is incomplete")
        if rank is not None and (type(rank) is not int or rank < 0):
            raise ProtocolError(f"{rank!r:.50} is no rank")
        if not hmac.compare_digest(_proof(self._token, f"guest {role} {rank}", self._nonce, nonce), proof):
            raise HandshakeFailed(
                "the token is wrong", hint="use the token that the dispatcher was started with"
            )
        _compare(told)
        welcome = {"proof": _proof(self._token, "host", nonce, self._nonce)}
        guest = Guest(role=role, rank=rank, host=str(told.get("host"))[:100])
        return guest, json.dumps(welcome).encode()


def present(
    connection: Connection,
    token: bytes,
    *,
    role: str,
    rank: int | None = None,
    host: str = "",
    deadline: float,
) -> None:
    """The side that comes: prove the token and see that the other knows it, too.

    Raises:
        HandshakeFailed: one of us does not know the token, or we are different versions.
        ConnectionEnded: nobody answered before `deadline` of `time.monotonic`.
        ProtocolError: whoever listens there is no dispatcher.
    """
    told = _object(_expect(connection.take(deadline), FrameKind.CHALLENGE))
    _compare(told)
    theirs, ours = str(told.get("nonce")), secrets.token_hex(32)
    body = {
        **_versions(),
        "role": role,
        "rank": rank,
        "host": host,
        "nonce": ours,
        "proof": _proof(token, f"guest {role} {rank}", theirs, ours),
    }
    connection.queue(FrameKind.PROOF, json.dumps(body).encode())
    connection.flush_all(deadline)
    welcome = _object(_expect(connection.take(deadline), FrameKind.WELCOME))
    if not hmac.compare_digest(str(welcome.get("proof")), _proof(token, "host", ours, theirs)):
        raise HandshakeFailed(
            "whoever answers does not know the token", hint="is it the dispatcher that you mean?"
        )


def _expect(frame: Frame, kind: FrameKind) -> Frame:
    if frame.kind is FrameKind.REFUSED:
        told = _object(frame)
        raise HandshakeFailed(str(told.get("message")), hint=told.get("hint"))
    if frame.kind is not kind:
        raise ProtocolError(f"a {frame.kind.name} came, expected a {kind.name}")
    return frame


def _compare(told: dict[str, Any]) -> None:
    for name, ours in _versions().items():
        if told.get(name) != ours:
            raise HandshakeFailed(
                f"one side has version {str(told.get(name))[:50]} of {name}, the other {ours}",
                hint="install the same versions of outgrow and torch on both sides",
            )


def _object(frame: Frame) -> dict[str, Any]:
    try:
        told = json.loads(bytes(frame.payload))
    except (ValueError, RecursionError) as err:
        raise ProtocolError("what came instead of a handshake is no JSON") from err
    if not isinstance(told, dict):
        raise ProtocolError("what came instead of a handshake is no object")
    return told


def _proof(token: bytes, who: str, first: str, second: str) -> str:
    return hmac.new(token, f"outgrow {who} {first} {second}".encode(), hashlib.sha256).hexdigest()
