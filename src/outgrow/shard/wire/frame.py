"""Frames: a fixed header and so many bytes. What every line between two of our processes carries, and nothing
else."""

__all__ = ["HEADER_BYTES", "Frame", "FrameKind", "FrameReader", "ProtocolError", "pack_header"]

import enum
import struct
from dataclasses import dataclass
from typing import Any

from outgrow.errors import RemoteError

_HEADER = struct.Struct("<QBBHIQ")
HEADER_BYTES = _HEADER.size
"""Bytes before every payload: its length, kind, number of files, generation, session, sequence."""


class ProtocolError(RemoteError):
    """The other side sent what no peer of this version sends."""


class FrameKind(enum.IntEnum):
    """What a payload is."""

    PUT = 1
    TEMPLATES = 2
    DEFINE = 3
    CALL = 4
    PLACE = 5
    FETCH = 6
    ASK = 7
    OPEN = 8
    """A session begins; the dispatcher tells the ranks."""
    CLOSE = 9
    """A session ended; everything that it held is forgotten. From a client: it goes in peace."""
    REPLY = 16
    NOTICE = 18
    """To a client: something that its user may want to know."""
    REFUSED = 17
    """To a client, before the line is cut: why."""
    ACK = 32
    """From a rank: every message up to this sequence has been done."""
    BEAT = 33
    """From a rank, all the time: it lives; its statistics."""
    DECISION = 34
    """From rank 0: how a segment runs from some call on. Comes before any reply that depends on it."""
    CONFIGURE = 35
    """To a rank: what it is one of."""
    STORE = 36
    """Where the ranks meet: from rank 0, passed on to the others."""
    READY = 37
    """From a rank: it is one of the group and takes messages."""
    FAILED = 38
    """From a rank, before it ends: why it cannot go on."""
    STOP = 39
    """To a rank: end."""
    CHECKPOINT = 40
    """To a rank: store what everybody holds."""
    RESTORE = 41
    """To a rank, before anything else: what it takes up, and what was decided and failed in an earlier
    life."""
    NOTE = 42
    """From a rank, for whoever recovers: JSON with an `event`."""
    CHALLENGE = 48
    PROOF = 49
    WELCOME = 50


CLIENT_KINDS = frozenset(
    (
        FrameKind.PUT, FrameKind.TEMPLATES, FrameKind.DEFINE, FrameKind.CALL, FrameKind.PLACE,
        FrameKind.FETCH, FrameKind.ASK, FrameKind.CLOSE,
    )
)  # fmt: skip
"""What a client may send."""

_KINDS = {int(kind): kind for kind in FrameKind}


@dataclass(slots=True)
class Frame:
    """One received frame."""

    kind: FrameKind
    payload: Any
    """Bytes; a buffer of their own, which may be kept."""
    session: int = 0
    """Whose it is; 0 where it is nobody's. A client's own frames carry 0."""
    sequence: int = 0
    """Its place in the one order in which all ranks do everything; 0 outside that order."""
    generation: int = 0
    """Which gang of ranks it is from or for: rises with each restart."""
    files: tuple[int, ...] = ()
    """Descriptors that came with it; whoever takes the frame closes them."""


def pack_header(
    kind: FrameKind,
    nbytes: int,
    *,
    files: int = 0,
    generation: int = 0,
    session: int = 0,
    sequence: int = 0,
) -> bytes:
    """The bytes before a payload of `nbytes`."""
    return _HEADER.pack(nbytes, kind, files, generation, session, sequence)


class FrameReader:
    """Bytes in, frames out, without I/O.

    `space()` is where the next bytes belong; `filled(n)` takes note that so many came. A long payload is
    received where it stays, so that nothing is copied twice, and grows as it comes: a liar's header makes
    nobody allocate.
    """

    CHUNK = 1 << 18

    def __init__(self, limit: int) -> None:
        """No payload may be longer than `limit` bytes."""
        self.limit = limit
        self.files: list[int] = []
        """Descriptors that came and belong to frames to come."""
        self._small = bytearray(self.CHUNK)
        self._end = 0
        self._long: bytearray | None = None
        self._have = 0
        self._need = 0
        self._header: tuple[int, int, int, int, int, int] | None = None

    def space(self) -> memoryview:
        """Where to receive to; never empty."""
        if self._long is not None:
            if self._have == len(self._long):
                self._long.extend(bytes(min(self._need - self._have, max(len(self._long), 1 << 20))))
            return memoryview(self._long)[self._have :]
        return memoryview(self._small)[self._end :]

    def filled(self, count: int) -> list[Frame]:
        """The frames that are complete now.

        Raises:
            ProtocolError: the bytes are no frames, or one is longer than the limit.
        """
        if self._long is not None:
            self._have += count
            if self._have < self._need:
                return []
            assert self._header is not None
            frame = self._frame(self._header, self._long)
            self._long = None
            return [frame]
        self._end += count
        return self._split()

    def _split(self) -> list[Frame]:
        frames: list[Frame] = []
        at, end = 0, self._end
        small = memoryview(self._small)
        while end - at >= HEADER_BYTES:
            header = _HEADER.unpack_from(small, at)
            need = header[0]
            if need > self.limit:
                raise ProtocolError(
                    f"a frame announces {need:,} bytes, and at most {self.limit:,} are taken",
                    hint="set GT_FRAME_LIMIT on both sides to a larger size, for example 8GiB",
                )
            if header[1] not in _KINDS:
                raise ProtocolError(
                    f"a frame is of kind {header[1]}, which does not exist",
                    hint="is the other side an outgrow of this version?",
                )
            if end - at - HEADER_BYTES < need:
                if need > self.CHUNK - HEADER_BYTES:
                    have = end - at - HEADER_BYTES
                    self._header, self._need, self._have = header, need, have
                    self._long = bytearray(small[at + HEADER_BYTES : end])
                    at = end
                break
            at += HEADER_BYTES
            frames.append(self._frame(header, bytes(small[at : at + need])))
            at += need
        self._small[: end - at] = bytes(small[at:end])
        self._end = end - at
        return frames

    def _frame(self, header: tuple[int, int, int, int, int, int], payload: Any) -> Frame:
        _, kind, files, generation, session, sequence = header
        if files > len(self.files):
            raise ProtocolError(
                f"a frame announces {files} files and {len(self.files)} came",
                hint="files pass only between processes of one machine, over a Unix socket",
            )
        own, self.files[:files] = tuple(self.files[:files]), []
        return Frame(_KINDS[kind], payload, session, sequence, generation, own)
