"""The dispatcher's end of one client."""

__all__ = ["ClientLine"]

import os
from collections import deque

from outgrow.shard.dispatch.admission import Admission
from outgrow.shard.wire.codec import inline_reply
from outgrow.shard.wire.connection import Connection
from outgrow.shard.wire.frame import Frame, FrameKind


class ClientLine:
    """A client's connection, what it may name, and the answers that it has not taken."""

    def __init__(self, session: int, connection: Connection, admission: Admission, *, is_owner: bool) -> None:
        self.session = session
        self.connection = connection
        self.admission = admission
        self.is_owner = is_owner
        """The program that started us: when it goes, we go."""
        self._owed: deque[tuple[int, int]] = deque()

    def answer(self, frame: Frame) -> None:
        """Put an answer into its queue; the frame's files are closed."""
        nbytes = weight(frame)
        if frame.files and not self.connection.passes_files:
            self.connection.queue(FrameKind.REPLY, inline_reply(frame.payload, frame.files[0]))
        else:
            self.connection.queue(FrameKind.REPLY, frame.payload, files=frame.files)
        for file in frame.files:
            os.close(file)
        self._owed.append((self.connection.sent_bytes + self.connection.queued_bytes, nbytes))

    def taken(self) -> int:
        """Bytes of answers that the client's socket took since the last call."""
        nbytes = 0
        while self._owed and self._owed[0][0] <= self.connection.sent_bytes:
            nbytes += self._owed.popleft()[1]
        return nbytes


def weight(frame: Frame) -> int:
    """What a frame and its files hold in memory, in bytes."""
    return len(frame.payload) + sum(os.fstat(file).st_size for file in frame.files)
