"""One line to another process: frames over a socket that is never waited for unless asked."""

__all__ = ["Connection", "ConnectionEnded"]

import array
import os
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from outgrow.errors import RemoteError
from outgrow.shard.wire.frame import Frame, FrameKind, FrameReader, ProtocolError, pack_header

_MOST_FILES = 16
_FILES_SPACE = socket.CMSG_SPACE(_MOST_FILES * array.array("i").itemsize)
# What one system call may take: below the kernel's limit of 1024.
_MOST_PARTS = 256


class ConnectionEnded(RemoteError):
    """The other side closed the line, or its process ended."""


class Connection:
    """Frames out of a queue, frames in as they come. Not for several threads at once: the caller locks."""

    def __init__(self, opened: socket.socket, *, limit: int) -> None:
        """Takes the socket over. No received payload may be longer than `limit` bytes."""
        opened.setblocking(False)
        self.socket = opened
        self.passes_files = opened.family == socket.AF_UNIX
        if not self.passes_files:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = FrameReader(limit)
        self.queued_bytes = 0
        """Given to `queue` and not yet taken by the kernel."""
        self.sent_bytes = 0
        self.received_bytes = 0
        self._taken: deque[Frame] = deque()
        self._out: deque[tuple[memoryview, tuple[int, ...]]] = deque()

    def fileno(self) -> int:
        """Of the socket: selectors want it."""
        return self.socket.fileno()

    # Out

    def queue(
        self,
        kind: FrameKind,
        *parts: Any,
        generation: int = 0,
        session: int = 0,
        sequence: int = 0,
        files: Sequence[int] = (),
    ) -> None:
        """Put a frame whose payload is `parts` into the queue. Bytes are not copied: they must not change
        until they are sent. Each file is given over: a duplicate is kept until then."""
        nbytes = sum(len(part) for part in parts)
        header = pack_header(
            kind, nbytes, files=len(files), generation=generation, session=session, sequence=sequence
        )
        self._out.append((memoryview(header), tuple(os.dup(file) for file in files)))
        self.queued_bytes += nbytes + len(header)
        for part in parts:
            if len(part):
                self._out.append((memoryview(part), ()))

    def flush(self) -> bool:
        """Send what the kernel takes now; whether all is sent.

        Raises:
            ConnectionEnded: nobody is there any more.
        """
        out = self._out
        while out:
            files = out[0][1]
            parts = [out[0][0]]
            for index in range(1, min(len(out), _MOST_PARTS)):
                if out[index][1]:
                    break
                parts.append(out[index][0])
            ancillary = (
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files).tobytes())] if files else []
            )
            try:
                sent = self.socket.sendmsg(parts, ancillary)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as err:
                raise ConnectionEnded(f"the line broke while sending: {err.strerror}") from err
            for file in files:
                os.close(file)
            self._took(sent)
        return True

    def _took(self, sent: int) -> None:
        self.queued_bytes -= sent
        self.sent_bytes += sent
        out = self._out
        while sent:
            part, _ = out.popleft()
            if len(part) > sent:
                out.appendleft((part[sent:], ()))
                return
            sent -= len(part)

    def flush_all(self, deadline: float | None = None) -> None:
        """Send everything, waiting for the other side; until `deadline` of `time.monotonic`.

        Raises:
            ConnectionEnded: nobody is there any more, or nobody took anything in time.
        """
        while not self.flush():
            self._wait(select.POLLOUT, deadline)

    # In

    def receive(self) -> list[Frame]:
        """The frames that are complete with what is there now; empty where nothing is.

        Raises:
            ConnectionEnded: the other side is gone.
            ProtocolError: what came are no frames.
        """
        try:
            count = self._receive_into(self.reader.space())
        except (BlockingIOError, InterruptedError):
            return []
        except OSError as err:
            raise ConnectionEnded(f"the line broke while receiving: {err.strerror}") from err
        if count == 0:
            raise ConnectionEnded("the other side closed the line")
        self.received_bytes += count
        return self.reader.filled(count)

    def _receive_into(self, space: memoryview) -> int:
        if not self.passes_files:
            return self.socket.recv_into(space)
        count, ancillary, flags, _ = self.socket.recvmsg_into([space], _FILES_SPACE, socket.MSG_CMSG_CLOEXEC)
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                files = array.array("i")
                files.frombytes(data[: len(data) - len(data) % files.itemsize])
                self.reader.files.extend(files)
        if flags & socket.MSG_CTRUNC or len(self.reader.files) > _MOST_FILES:
            raise ProtocolError(f"more than {_MOST_FILES} files came at once")
        return count

    def take(self, deadline: float | None = None) -> Frame:
        """One frame; those that came with it are kept for later calls of `take` and `wait`.

        Raises:
            ConnectionEnded: as `wait`.
            ProtocolError: as `wait`.
        """
        if not self._taken:
            self._taken.extend(self.wait(deadline))
        return self._taken.popleft()

    def wait(self, deadline: float | None = None, *, sends: bool = True) -> list[Frame]:
        """At least one frame. With `sends`, what is queued is sent meanwhile; without, another thread may
        send.

        Raises:
            ConnectionEnded: the other side is gone, or nothing came before `deadline` of `time.monotonic`.
            ProtocolError: what came are no frames.
        """
        if self._taken:
            taken, self._taken = list(self._taken), deque()
            return taken
        while True:
            frames = self.receive()
            if frames:
                return frames
            sending = 0 if not sends or self.flush() else select.POLLOUT
            self._wait(select.POLLIN | sending, deadline)

    def _wait(self, events: int, deadline: float | None) -> None:
        poller = select.poll()
        poller.register(self.socket, events)
        timeout = None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)
        if not poller.poll(timeout):
            raise ConnectionEnded("the other side said nothing in time")

    def is_cut(self) -> bool:
        """Whether the other side is gone; what it sent before may still be there."""
        poller = select.poll()
        poller.register(self.socket, select.POLLRDHUP)
        return bool(poller.poll(0))

    def close(self) -> None:
        """Give the socket back, and every file that was on its way."""
        for _, files in self._out:
            for file in files:
                os.close(file)
        self._out.clear()
        for file in self.reader.files:
            os.close(file)
        self.reader.files.clear()
        self.socket.close()
