"""The one process between clients and ranks: sockets in one thread, around the state machine that decides."""

__all__ = ["Dispatcher", "RankSource"]

import functools
import json
import os
import selectors
import socket
import time
from collections.abc import Callable
from typing import Any, Protocol

from outgrow.errors import OutgrowError
from outgrow.shard.dispatch.admission import Admission
from outgrow.shard.dispatch.dispatch_state import (
    Deliver,
    DispatchState,
    Entry,
    Forward,
    Instruction,
    Limits,
    Pause,
    Resume,
)
from outgrow.shard.dispatch.rank_line import RankLine
from outgrow.shard.dispatch.supervisor import Supervisor, Surrender
from outgrow.shard.wire.connection import Connection, ConnectionEnded
from outgrow.shard.wire.frame import Frame, FrameKind, ProtocolError

_TICK_SECONDS = 0.1


class RankSource(Protocol):
    """Where ranks come from."""

    def start(self, rank: int) -> tuple[socket.socket, int | None]:
        """A line to a new rank, and its process where it is a child of this one."""
        ...

    def configuration(self, rank: int) -> dict[str, Any]:
        """What the rank is told: `threads`, `device`, `backend`, `interface`, `timeout_seconds`,
        `start_timeout_seconds`."""
        ...


class ClientLine:
    """The dispatcher's end of one client."""

    def __init__(self, session: int, connection: Connection, admission: Admission, *, is_owner: bool) -> None:
        self.session = session
        self.connection = connection
        self.admission = admission
        self.is_owner = is_owner
        """The program that started us: when it goes, we go."""
        self.is_paused = False
        self.owed: list[tuple[int, int]] = []
        """`(sent_bytes at which it is delivered, bytes)` of answers in the connection's queue."""


class Dispatcher:
    """Everything is done in `run`, in one thread."""

    def __init__(
        self,
        world_size: int,
        source: RankSource,
        *,
        supervisor: Supervisor | None = None,
        limits: Limits | None = None,
        frame_limit: int = 4 << 30,
    ) -> None:
        self.world_size = world_size
        self.source = source
        self.state = DispatchState(world_size, limits)
        self.generation = 0
        self.ranks: list[RankLine] = []
        self.clients: dict[int, ClientLine] = {}
        self.supervisor = supervisor or Surrender()
        self.supervisor.attach(self)
        self.frame_limit = frame_limit
        self.started = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._is_over = False
        self._next_tick = 0.0

    # Life

    def run(self) -> None:
        """Start the ranks and serve until the owner goes, `stop` is called, or a supervisor gives up."""
        try:
            self.start_ranks()
            while not self._is_over:
                self.turn()
        finally:
            self.close()

    def turn(self) -> None:
        """Do what is there to do; waits a tenth of a second at most."""
        for key, events in self._selector.select(_TICK_SECONDS):
            if key.fileobj in self._selector.get_map():
                key.data(events)
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + _TICK_SECONDS
            self.supervisor.on_tick(now)

    def stop(self) -> None:
        """Let `run` return."""
        self._is_over = True

    def close(self) -> None:
        """End every rank and every line."""
        for client in list(self.clients.values()):
            self._unwatch(client.connection)
            client.connection.close()
        self.clients.clear()
        self._end_ranks()
        self._selector.close()

    def watch(self, file: Any, events: int, call: Callable[[int], None]) -> None:
        """Call when something happens to a file; for listeners, and for whoever extends the loop."""
        self._selector.register(file, events, call)

    def watch_owner(self, pid: int) -> None:
        """End when this process ends, whoever else holds its sockets."""
        self.watch(os.pidfd_open(pid), selectors.EVENT_READ, lambda events: self.stop())

    # Ranks

    def start_ranks(self) -> None:
        """Begin a generation."""
        self.generation += 1
        for rank in range(self.world_size):
            opened, pid = self.source.start(rank)
            line = RankLine(rank, Connection(opened, limit=self.frame_limit), pid)
            self.ranks.append(line)
            told = {
                **self.source.configuration(rank),
                "rank": rank,
                "world_size": self.world_size,
                "generation": self.generation,
            }
            line.connection.queue(FrameKind.CONFIGURE, json.dumps(told).encode(), generation=self.generation)
            self.watch(line.connection, selectors.EVENT_READ, functools.partial(self._rank, line))
            self._flush_rank(line)

    def restart_ranks(self) -> None:
        """End every rank and begin a new generation; clients notice nothing but the wait."""
        self.state.ranks_lost()
        self._end_ranks()
        self.start_ranks()

    def send_to_ranks(
        self,
        kind: FrameKind,
        payload: Any,
        *,
        session: int = 0,
        sequence: int = 0,
        files: tuple[int, ...] = (),
    ) -> None:
        """Put a frame before every rank."""
        for line in self.ranks:
            self._send_to_rank(line, kind, payload, session, sequence, files)

    def _send_to_rank(
        self,
        line: RankLine,
        kind: FrameKind,
        payload: Any,
        session: int,
        sequence: int,
        files: tuple[int, ...],
    ) -> None:
        if line.is_lost:
            return
        if files and not line.connection.passes_files:
            payload, files = self._inlined(payload, files)
        line.connection.queue(
            kind, payload, generation=self.generation, session=session, sequence=sequence, files=files
        )

    def _inlined(self, payload: Any, files: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
        raise ProtocolError("a rank on another machine cannot be given files")

    def _end_ranks(self) -> None:
        for line in self.ranks:
            self._unwatch(line.connection)
            line.end()
        self.ranks.clear()

    def _rank(self, line: RankLine, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._flush_rank(line)
            if events & selectors.EVENT_READ:
                for frame in line.connection.receive():
                    self._from_rank(line, frame)
                    if line.is_lost or line not in self.ranks:
                        return
        except (ConnectionEnded, ProtocolError) as err:
            self._lost(line, err.message)

    def _lost(self, line: RankLine, reason: str) -> None:
        if line.is_lost:
            return
        line.is_lost = True
        self.state.ranks_lost()
        self._unwatch(line.connection)
        self.supervisor.on_rank_lost(line.rank, line.look() or reason)

    def _from_rank(self, line: RankLine, frame: Frame) -> None:
        match frame.kind:
            case FrameKind.ACK:
                self._act(self.state.did(line.rank, frame.sequence))
            case FrameKind.REPLY:
                nbytes = len(frame.payload) + sum(os.fstat(file).st_size for file in frame.files)
                self._act(self.state.answered(line.rank, frame.sequence, frame, nbytes))
            case FrameKind.BEAT:
                line.statistics = json.loads(bytes(frame.payload))
                self.supervisor.on_beat(line.rank, line.statistics)
                self._act(self.state.did(line.rank, frame.sequence))
            case FrameKind.DECISION:
                self.supervisor.on_decision(line.rank, frame.session, bytes(frame.payload))
            case FrameKind.STORE:
                for other in self.ranks[1:]:
                    self._send_to_rank(other, FrameKind.STORE, frame.payload, 0, 0, ())
                    self._flush_rank(other)
            case FrameKind.READY:
                line.is_ready = True
                if all(one.is_ready for one in self.ranks):
                    self.supervisor.on_ready(self.generation)
                    self._act(self.state.ranks_ready())
            case FrameKind.FAILED:
                told = json.loads(bytes(frame.payload))
                self.supervisor.on_rank_error(line.rank, f"{told['message']}\n{told['traceback']}")
            case _:
                raise ProtocolError(f"a rank sent a {frame.kind.name}")

    def _flush_rank(self, line: RankLine) -> None:
        if not line.is_lost:
            self._flush(line.connection)

    # Clients

    def add_client(self, opened: socket.socket, *, is_owner: bool = False) -> int:
        """Serve a client at the end of this socket; gives the number of its session."""
        connection = Connection(opened, limit=self.frame_limit)
        number, instructions = self.state.open_session()
        client = ClientLine(number, connection, Admission(number, self.world_size), is_owner=is_owner)
        self.clients[number] = client
        self.watch(connection, selectors.EVENT_READ, functools.partial(self._client, client))
        self._act(instructions)
        return number

    def _client(self, client: ClientLine, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._flush_client(client)
            if events & selectors.EVENT_READ:
                for frame in client.connection.receive():
                    if frame.kind is FrameKind.CLOSE:
                        self._gone(client)
                        return
                    self._act(self.state.received(client.admission.admit(frame)))
        except ConnectionEnded:
            self._gone(client)
        except OutgrowError as err:
            self._refuse(client, err.message, err.hint)

    def _gone(self, client: ClientLine) -> None:
        if self.clients.pop(client.session, None) is None:
            return
        self._unwatch(client.connection)
        client.connection.close()
        if client.is_owner:
            self.stop()
        self._act(self.state.close_session(client.session))

    def _refuse(self, client: ClientLine, reason: str, hint: str | None = None) -> None:
        """Say why and cut the line: nothing more of this client is believed."""
        body = json.dumps({"message": reason, "hint": hint}).encode()
        try:
            client.connection.queue(FrameKind.REFUSED, body)
            client.connection.flush_all(time.monotonic() + 0.2)
        except ConnectionEnded:
            pass
        self._gone(client)

    def give_up(self, reason: str) -> None:
        """Refuse every client, and end."""
        for client in list(self.clients.values()):
            self._refuse(client, reason)
        self.stop()

    def _flush_client(self, client: ClientLine) -> None:
        self._flush(client.connection)
        sent = client.connection.sent_bytes
        while client.owed and client.owed[0][0] <= sent:
            _, nbytes = client.owed.pop(0)
            self._act(self.state.delivered(client.session, nbytes))

    # Instructions

    def _act(self, instructions: list[Instruction]) -> None:
        forwarded = False
        for instruction in instructions:
            match instruction:
                case Forward(entry):
                    self._forward(entry)
                    forwarded = True
                case Deliver(session, answer):
                    self._deliver(self.clients[session], answer)
                case Pause(session):
                    self._pause(session, is_paused=True)
                case Resume(session):
                    self._pause(session, is_paused=False)
                case _:
                    for file in instruction.entry.files:
                        os.close(file)
                    instruction.entry.files = ()
        if forwarded:
            for line in self.ranks:
                try:
                    self._flush_rank(line)
                except ConnectionEnded as err:
                    self._lost(line, err.message)

    def _forward(self, entry: Entry) -> None:
        self.supervisor.on_forward(entry)
        self.send_to_ranks(
            entry.kind, entry.payload, session=entry.session, sequence=entry.sequence, files=entry.files
        )

    def _deliver(self, client: ClientLine, answer: Frame) -> None:
        client.connection.queue(FrameKind.REPLY, answer.payload, files=answer.files)
        nbytes = len(answer.payload) + sum(os.fstat(file).st_size for file in answer.files)
        for file in answer.files:
            os.close(file)
        client.owed.append((client.connection.sent_bytes + client.connection.queued_bytes, nbytes))
        try:
            self._flush_client(client)
        except ConnectionEnded:
            self._gone(client)

    def _pause(self, session: int, *, is_paused: bool) -> None:
        client = self.clients.get(session)
        if client is not None:
            client.is_paused = is_paused
            self._listen(client.connection, reads=not is_paused)

    # Sockets

    def _flush(self, connection: Connection) -> None:
        key = self._selector.get_key(connection)
        is_writing = bool(key.events & selectors.EVENT_WRITE)
        if connection.flush() == is_writing:
            events = key.events ^ selectors.EVENT_WRITE
            self._modify(connection, events)

    def _listen(self, connection: Connection, *, reads: bool) -> None:
        key = self._selector.get_key(connection)
        events = key.events & ~selectors.EVENT_READ
        self._modify(connection, events | (selectors.EVENT_READ if reads else 0))

    def _modify(self, connection: Connection, events: int) -> None:
        self._selector.modify(connection, events, self._selector.get_key(connection).data)

    def _unwatch(self, connection: Connection) -> None:
        if connection in self._selector.get_map():
            self._selector.unregister(connection)
