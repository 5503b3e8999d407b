"""The one process between clients and ranks: sockets in one thread, around the state machine that decides."""

__all__ = ["Dispatcher"]

import contextlib
import functools
import json
import os
import selectors
import struct
import time
from pathlib import Path
from typing import Any

from outgrow.errors import InputError, OutgrowError
from outgrow.shard.dispatch.admission import Admission
from outgrow.shard.dispatch.answers import joined
from outgrow.shard.dispatch.client_line import ClientLine, weight
from outgrow.shard.dispatch.dispatch_state import (
    Deliver,
    DispatchState,
    Entry,
    Forward,
    Instruction,
    Limits,
    Pause,
    Release,
    Resume,
)
from outgrow.shard.dispatch.gang import Gang, RankSource
from outgrow.shard.dispatch.instruction_log import Timeline
from outgrow.shard.dispatch.loop import Loop
from outgrow.shard.dispatch.rank_line import RankLine
from outgrow.shard.dispatch.reception import Reception
from outgrow.shard.dispatch.supervisor import Supervisor, Surrender
from outgrow.shard.messages import Reply
from outgrow.shard.wire.codec import encode_reply
from outgrow.shard.wire.connection import Connection, ConnectionEnded
from outgrow.shard.wire.frame import Frame, FrameKind, ProtocolError
from outgrow.shard.wire.handshake import Guest

_TICK_SECONDS = 0.1
_TIMES = struct.Struct("<Qdd")
_MOST_CLIENTS = 64
_MOST_UNTAKEN = 1 << 26
"""Bytes of answers of the dispatcher itself that a client may leave lying."""


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
        instruction_log: Path | None = None,
    ) -> None:
        """`frame_limit`: bytes of the largest message. Raises OSError where the log cannot be written."""
        self.world_size = world_size
        self.frame_limit = frame_limit
        self.state = DispatchState(world_size, limits)
        self.loop = Loop()
        self.gang = Gang(world_size, source, self, self.loop, frame_limit=frame_limit)
        self.reception = Reception(self.loop, self._check, self._welcome)
        self.clients: dict[int, ClientLine] = {}
        self.timeline = Timeline(world_size, instruction_log)
        self.supervisor = supervisor or Surrender()
        self.supervisor.attach(self)
        self.started = time.monotonic()
        self._times: dict[int, list[Any]] = {}
        self._is_over = False
        self._next_tick = 0.0

    # Life

    def run(self) -> None:
        """Start the ranks and serve until the owner goes, `stop` is called, or the supervisor gives up."""
        try:
            self.gang.start()
            while not self._is_over:
                self.turn()
        finally:
            self.close()

    def turn(self) -> None:
        """Do what there is to do; waits a tenth of a second at most."""
        self.loop.turn(_TICK_SECONDS)
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + _TICK_SECONDS
            self.reception.tick(now)
            self.timeline.flush()
            self.supervisor.on_tick(now)

    def stop(self) -> None:
        """Let `run` return."""
        self._is_over = True

    def close(self) -> None:
        """End every rank and every line."""
        self.reception.close()
        for client in list(self.clients.values()):
            self.loop.unwatch(client.connection)
            client.connection.close()
        self.clients.clear()
        self.gang.end(for_good=True)
        self.timeline.close()
        self.loop.close()

    def watch_owner(self, pid: int) -> None:
        """End when this process ends, whoever else holds its sockets."""
        self.loop.watch(os.pidfd_open(pid), selectors.EVENT_READ, lambda events: self.stop())

    # Ranks: see `RankHandler`

    def restart_ranks(self) -> None:
        """End every rank and begin a new generation; clients notice nothing but the wait."""
        self.timeline.add("ranks", generation=self.gang.generation, is_ready=False)
        self.state.ranks_lost()
        self.gang.end()
        self.gang.start()

    def equipment(self, rank: int) -> tuple[dict[str, Any], tuple[int, ...]]:
        """See `RankHandler.equipment`."""
        return self.supervisor.equipment(rank)

    def ranks_ready(self) -> None:
        """See `RankHandler.ranks_ready`."""
        self.timeline.add("ranks", generation=self.gang.generation, is_ready=True)
        self.supervisor.on_ready(self.gang.generation)
        if self.gang.is_ready:  # one may have been lost while it was told what to take up
            self._act(self.state.ranks_ready())
        self.gang.flush()

    def rank_lost(self, line: RankLine, reason: str) -> None:
        """See `RankHandler.rank_lost`."""
        self.state.ranks_lost()
        self.supervisor.on_rank_lost(line.rank, reason)

    def from_rank(self, line: RankLine, frame: Frame) -> None:
        """See `RankHandler.from_rank`."""
        match frame.kind:
            case FrameKind.ACK:
                self._time(line, frame)
                self._act(self.state.did(line.rank, frame.sequence))
            case FrameKind.REPLY:
                self._act(self.state.answered(line.rank, frame.sequence, frame, weight(frame)))
            case FrameKind.BEAT:
                line.statistics = json.loads(bytes(frame.payload))
                self.supervisor.on_beat(line.rank, line.statistics)
            case FrameKind.DECISION:
                self.supervisor.on_decision(line.rank, frame.session, frame.sequence, bytes(frame.payload))
            case FrameKind.NOTE:
                self.supervisor.on_note(line.rank, frame.generation, json.loads(bytes(frame.payload)))
            case FrameKind.FAILED:
                told = json.loads(bytes(frame.payload))
                self.supervisor.on_rank_error(line.rank, told)
            case _:
                raise ProtocolError(f"a rank sent a {frame.kind.name}")

    def _time(self, line: RankLine, frame: Frame) -> None:
        for sequence, started, ended in _TIMES.iter_unpack(frame.payload):
            times = self._times.get(sequence)
            if times is not None:
                shift = line.clock_seconds
                times[line.rank] = [self.timeline.at(started + shift), self.timeline.at(ended + shift)]

    # Clients

    def add_client(self, connection: Connection, *, is_owner: bool = False) -> int:
        """Serve a client on this line; gives the number of its session."""
        number, instructions = self.state.open_session()
        connection.reader.limit = self.frame_limit
        client = ClientLine(number, connection, Admission(number, self.world_size), is_owner=is_owner)
        self.clients[number] = client
        self.loop.watch(connection, selectors.EVENT_READ, functools.partial(self._hear, client))
        self.timeline.add("session", session=number, is_open=True)
        self._act(instructions)
        self._flush(client)
        return number

    def _check(self, guest: Guest) -> None:
        if guest.role == "rank":
            self.gang.place_for(guest.rank)
        elif len(self.clients) >= _MOST_CLIENTS:
            raise InputError(
                f"{_MOST_CLIENTS} programs use these workers already", hint="wait until one of them has ended"
            )

    def _welcome(self, connection: Connection, guest: Guest) -> None:
        if guest.role == "rank":
            self.gang.join(connection, guest.rank)
        else:
            self.add_client(connection)

    def _hear(self, client: ClientLine, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(client)
            if events & selectors.EVENT_READ:
                for frame in client.connection.receive():
                    self._from_client(client, frame)
        except ConnectionEnded:
            self._gone(client)
        except OutgrowError as err:
            self._refuse(client, err.message, err.hint)

    def _from_client(self, client: ClientLine, frame: Frame) -> None:
        if client.session not in self.clients:  # an earlier frame of the same bunch ended it
            for file in frame.files:
                os.close(file)
        elif frame.kind is FrameKind.CLOSE:
            self._gone(client)
        else:
            try:
                entry = client.admission.admit(frame)
            except OutgrowError:
                for file in frame.files:
                    os.close(file)
                raise
            if entry.topic in _TOPICS:
                self._answer(client, entry, _TOPICS[entry.topic](self, entry.details))
            else:
                entry.received = time.monotonic()
                self._act(self.state.received(entry))

    def _answer(self, client: ClientLine, entry: Entry, body: dict[str, Any]) -> None:
        assert entry.request is not None
        encoded = encode_reply(
            Reply(request=entry.request, body=body), passes_files=client.connection.passes_files
        )
        client.connection.queue(encoded.kind, *encoded.parts)
        self._flush(client)
        if client.connection.queued_bytes > _MOST_UNTAKEN:
            self._refuse(client, "answers are not taken", "read what was asked for")

    def _gone(self, client: ClientLine) -> None:
        if self.clients.pop(client.session, None) is None:
            return
        self.loop.unwatch(client.connection)
        client.connection.close()
        if client.is_owner:
            self.stop()
        self.timeline.add("session", session=client.session, is_open=False)
        self._act(self.state.close_session(client.session))

    def _refuse(self, client: ClientLine, reason: str, hint: str | None = None) -> None:
        """Say why and cut the line: nothing more of this client is believed."""
        body = json.dumps({"message": reason, "hint": hint}).encode()
        with contextlib.suppress(ConnectionEnded):
            client.connection.queue(FrameKind.REFUSED, body)
            client.connection.flush()
        self._gone(client)

    def notify(self, text: str) -> None:
        """Let every client know."""
        for client in list(self.clients.values()):
            client.connection.queue(FrameKind.NOTICE, text.encode())
            self._flush(client)

    def give_up(self, reason: str, hint: str | None = None) -> None:
        """Refuse every client, and end."""
        for client in list(self.clients.values()):
            self._refuse(client, reason, hint)
        self.stop()

    def _flush(self, client: ClientLine) -> None:
        if client.session not in self.clients:
            return
        try:
            self.loop.flush(client.connection)
        except ConnectionEnded:
            self._gone(client)
            return
        nbytes = client.taken()
        if nbytes:
            self._act(self.state.delivered(client.session, nbytes))

    # Instructions of the state machine

    def _act(self, instructions: list[Instruction]) -> None:
        is_forwarding = False
        for instruction in instructions:
            match instruction:
                case Forward(entry):
                    self._forward(entry)
                    is_forwarding = True
                case Deliver(session, entry):
                    client = self.clients[session]
                    client.answer(joined(entry))
                    self._flush(client)
                case Pause(session) | Resume(session) if session in self.clients:
                    is_reading = isinstance(instruction, Resume)
                    self.loop.listen(self.clients[session].connection, reads=is_reading)
                case Release(entry):
                    self._release(entry)
        if is_forwarding:
            self.gang.flush()

    def _forward(self, entry: Entry) -> None:
        if self.timeline.is_on:
            entry.forwarded = time.monotonic()
            if entry.kind is FrameKind.DEFINE:
                self.timeline.add("segment", session=entry.session, segment=entry.segment, **entry.details)
            self._times[entry.sequence] = [None] * self.world_size
        self.supervisor.on_forward(entry)
        self.gang.send(
            entry.kind, entry.payload, session=entry.session, sequence=entry.sequence, files=entry.files
        )

    def _release(self, entry: Entry) -> None:
        for file in entry.files:
            os.close(file)
        entry.files = ()
        times = self._times.pop(entry.sequence, None)
        if times is not None:
            self.timeline.add(
                "message",
                sequence=entry.sequence,
                session=entry.session,
                kind=entry.kind.name,
                bytes=entry.nbytes,
                instructions=entry.cost - 1,
                segment=entry.segment,
                call=entry.call,
                received=self.timeline.at(entry.received),
                forwarded=self.timeline.at(entry.forwarded),
                ranks=times,
            )

    # Questions that no rank is needed for

    def monitor(self, details: dict[str, Any]) -> dict[str, Any]:
        """The answer to `monitor`: of the dispatcher, every rank and every session. Numbers rise, except
        queues."""
        state = self.state
        ranks = [
            {"rank": line.rank, "is_ready": line.is_ready, "queue": state.sequence - state.done[line.rank]}
            | {name: value for name, value in line.statistics.items() if name != "queue"}
            for line in self.gang.lines.values()
        ]
        sessions = [
            {
                "session": one.number,
                "messages": one.messages,
                "bytes": one.nbytes,
                "requests": one.requests,
                "is_paused": one.is_paused,
            }
            for one in state.sessions.values()
        ]
        return {
            "world_size": self.world_size,
            "generation": self.gang.generation,
            "seconds": time.monotonic() - self.started,
            "sequence": state.sequence,
            "ranks": ranks,
            "sessions": sessions,
        }

    def trace(self, details: dict[str, Any]) -> dict[str, Any]:
        """The answer to `trace`: begin with `{"seconds": n}`, then ask without to get `events` as the log has
        them."""
        seconds = details.get("seconds")
        if isinstance(seconds, int | float) and 0 < seconds < 1e6:
            self.timeline.keep(float(seconds) + 60.0)
            return {"is_on": True}
        return {"events": self.timeline.take()}

    def decided(self, details: dict[str, Any]) -> dict[str, Any]:
        """The answer to `decisions`: by session, what was decided about how its segments run."""
        return {"decisions": self.supervisor.decisions}

    def recovered(self, details: dict[str, Any]) -> dict[str, Any]:
        """The answer to `recovery`: how often ranks were started anew, and what being able to costs."""
        return self.supervisor.statistics()


_TOPICS = {
    "monitor": Dispatcher.monitor,
    "trace": Dispatcher.trace,
    "decisions": Dispatcher.decided,
    "recovery": Dispatcher.recovered,
}
