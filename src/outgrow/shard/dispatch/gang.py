"""The ranks of one generation: how they come, meet, and go together."""

__all__ = ["Gang", "RankHandler", "RankSource"]

import contextlib
import functools
import json
import selectors
import socket
import time
from typing import Any, Protocol

from outgrow.errors import InputError
from outgrow.shard.dispatch.loop import Loop
from outgrow.shard.dispatch.rank_line import RankLine
from outgrow.shard.wire.codec import inline_put
from outgrow.shard.wire.connection import Connection, ConnectionEnded
from outgrow.shard.wire.frame import Frame, FrameKind, ProtocolError


class RankSource(Protocol):
    """Where ranks come from."""

    def start(self, rank: int) -> tuple[socket.socket, int | None] | None:
        """A line to a new rank, and its process where it is a child of this one; None for a rank that
        somebody else starts and that comes by itself."""
        ...

    def configuration(self, rank: int) -> dict[str, Any]:
        """What the rank is told: `threads`, `device`, `backend`, `timeout_seconds`,
        `start_timeout_seconds`."""
        ...


class RankHandler(Protocol):
    """Whoever is told what ranks do."""

    def from_rank(self, line: RankLine, frame: Frame) -> None:
        """A rank sent something that is not about how ranks meet."""
        ...

    def equipment(self, rank: int) -> tuple[dict[str, Any], tuple[int, ...]]:
        """See `Supervisor.equipment`."""
        ...

    def ranks_ready(self) -> None:
        """All ranks of the generation take messages."""
        ...

    def rank_lost(self, line: RankLine, reason: str) -> None:
        """A rank's line broke; told once."""
        ...


class Gang:
    """Lines to all ranks. When one is lost the others are of no use: they are ended and started together."""

    def __init__(
        self, world_size: int, source: RankSource, handler: RankHandler, loop: Loop, *, frame_limit: int
    ) -> None:
        self.world_size = world_size
        self.generation = 0
        self.lines: dict[int, RankLine] = {}
        """By rank, those that are there."""
        self._source = source
        self._handler = handler
        self._loop = loop
        self._frame_limit = frame_limit
        self._is_told = False

    @property
    def is_ready(self) -> bool:
        """Whether all ranks are there and take messages."""
        return len(self.lines) == self.world_size and all(line.is_ready for line in self.lines.values())

    def start(self) -> None:
        """Begin a generation."""
        self.generation += 1
        self._is_told = False
        for rank in range(self.world_size):
            started = self._source.start(rank)
            if started is not None:
                opened, pid = started
                self._add(RankLine(rank, Connection(opened, limit=self._frame_limit), pid))
        self._tell()

    def place_for(self, wanted: int | None) -> int:
        """Which rank somebody who came by itself becomes.

        Raises:
            InputError: there is nothing for it to do.
        """
        missing = [rank for rank in range(self.world_size) if rank not in self.lines]
        if wanted is not None and wanted >= self.world_size:
            raise InputError(
                f"there is no rank {wanted}: the world has {self.world_size}",
                hint=f"ranks are 0 to {self.world_size - 1}",
            )
        if not missing or (wanted is not None and wanted not in missing):
            who = "every rank" if not missing else f"rank {wanted}"
            raise InputError(
                f"{who} is there already", hint="start the dispatcher with a larger --world-size"
            )
        return missing[0] if wanted is None else wanted

    def join(self, connection: Connection, wanted: int | None) -> None:
        """Take in a rank that came by itself."""
        connection.reader.limit = self._frame_limit
        self._add(RankLine(self.place_for(wanted), connection, None))
        self._loop.flush(connection)
        self._tell()

    def end(self, *, for_good: bool = False) -> None:
        """Kill what is ours and cut every line; ranks that came by themselves come again unless it is
        `for_good`."""
        for line in self.lines.values():
            self._loop.unwatch(line.connection)
            if for_good and line.pid is None:
                with contextlib.suppress(ConnectionEnded):
                    line.connection.queue(FrameKind.STOP, generation=self.generation)
                    line.connection.flush()
            line.end()
        self.lines.clear()

    def send(
        self,
        kind: FrameKind,
        payload: Any,
        *,
        session: int = 0,
        sequence: int = 0,
        files: tuple[int, ...] = (),
    ) -> None:
        """Put a frame before every rank; it is on its way after `flush`."""
        inlined: bytes | None = None
        for rank in sorted(self.lines):
            line = self.lines[rank]
            if line.is_lost:
                continue
            if files and not line.connection.passes_files:
                if inlined is None:
                    inlined = inline_put(payload, files[0])
                line.connection.queue(
                    kind, inlined, generation=self.generation, session=session, sequence=sequence
                )
                continue
            line.connection.queue(
                kind, payload, generation=self.generation, session=session, sequence=sequence, files=files
            )

    def flush(self) -> None:
        """Send what was put before the ranks."""
        for line in list(self.lines.values()):
            self._flush(line)

    def _flush(self, line: RankLine) -> None:
        if line.is_lost or self.lines.get(line.rank) is not line:
            return
        try:
            self._loop.flush(line.connection)
        except ConnectionEnded as err:
            self._lose(line, err.message)

    def _add(self, line: RankLine) -> None:
        self.lines[line.rank] = line
        self._loop.watch(line.connection, selectors.EVENT_READ, functools.partial(self._hear, line))

    def _tell(self) -> None:
        """Once all are there, tell each what it is one of."""
        if self._is_told or len(self.lines) < self.world_size:
            return
        self._is_told = True
        away = [line for line in self.lines.values() if not line.connection.passes_files]
        # Ranks that come over a network reach us at an address at which they also reach the ranks beside us.
        address = away[0].connection.socket.getsockname()[0] if away else "127.0.0.1"
        for rank, line in self.lines.items():
            more, files = self._handler.equipment(rank)
            told = {
                "address": address,
                **self._source.configuration(rank),
                **more,
                "rank": rank,
                "world_size": self.world_size,
                "generation": self.generation,
            }
            line.connection.queue(
                FrameKind.CONFIGURE,
                json.dumps(told).encode(),
                generation=self.generation,
                files=files if line.connection.passes_files else (),
            )
        self.flush()

    def _hear(self, line: RankLine, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(line)
            if events & selectors.EVENT_READ:
                for frame in line.connection.receive():
                    self._take(line, frame)
                    if line.is_lost or self.lines.get(line.rank) is not line:
                        return
        except (ConnectionEnded, ProtocolError) as err:
            self._lose(line, err.message)

    def _take(self, line: RankLine, frame: Frame) -> None:
        if frame.kind is FrameKind.STORE:
            for other in self.lines.values():
                if other is not line:
                    other.connection.queue(FrameKind.STORE, frame.payload, generation=self.generation)
            self.flush()
        elif frame.kind is FrameKind.READY:
            line.is_ready = True
            if not line.connection.passes_files:
                line.clock_seconds = time.monotonic() - json.loads(bytes(frame.payload))["seconds"]
            if self.is_ready:
                self._handler.ranks_ready()
        else:
            self._handler.from_rank(line, frame)

    def _lose(self, line: RankLine, reason: str) -> None:
        if line.is_lost:
            return
        line.is_lost = True
        self._loop.unwatch(line.connection)
        self._handler.rank_lost(line, line.look() or reason)
