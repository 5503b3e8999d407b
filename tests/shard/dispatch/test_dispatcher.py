import contextlib
import json
import os
import socket

import pytest
import torch

from outgrow.shard.dispatch import dispatcher
from outgrow.shard.dispatch.dispatch_state import Limits
from outgrow.shard.dispatch.dispatcher import Dispatcher
from outgrow.shard.instructions import INPUT, Segment, Step, Template, TensorMeta
from outgrow.shard.messages import Ask, Call, Define, Fetch, Put, Reply
from outgrow.shard.wire.codec import Encoder, decode_reply, encode_reply
from outgrow.shard.wire.connection import Connection, ConnectionEnded
from outgrow.shard.wire.frame import FrameKind

_META = TensorMeta((4,), (1,), torch.float32)
_ADD = Template(op="aten.add.Tensor", args=(INPUT, INPUT), inputs=(_META, _META), outputs=(_META,))
_BODY = Segment(templates=(_ADD,), steps=(Step(0, (-1, -1), 1, 0),) * 3, inputs=(_META,))


class Rank:
    """The other end of a rank's line, played by the test."""

    def __init__(self):
        ours, theirs = socket.socketpair()
        self.connection, self.theirs = Connection(ours, limit=1 << 30), theirs
        self.frames = []

    def read(self):
        """What has come; gives what is new, without CONFIGURE."""
        new = [frame for frame in iter_frames(self.connection) if frame.kind is not FrameKind.CONFIGURE]
        for frame in new:
            for file in frame.files:
                os.close(file)
        self.frames += new
        return new

    def say(self, kind, *parts, **fields):
        self.connection.queue(kind, *parts, **fields)
        self.connection.flush()  # what is left goes with the next turns


class Client:
    """A client whose bytes are sent and read by hand."""

    def __init__(self, dispatcher):
        ours, theirs = socket.socketpair()
        self.connection = Connection(ours, limit=1 << 30)
        self.encoder = Encoder(passes_files=True)
        self.session = dispatcher.add_client(Connection(theirs, limit=1 << 30))

    def send(self, *messages):
        for message in messages:
            for one in self.encoder.encode(message):
                files = () if one.file is None else (one.file,)
                self.connection.queue(one.kind, *one.parts, files=files)
                for file in files:
                    os.close(file)
        return self.connection.flush()


def iter_frames(connection):
    found = []
    try:
        while frames := connection.receive():
            found += frames
    except ConnectionEnded:
        pass
    return found


class World:
    """A dispatcher whose turns the test takes, with two ranks and any number of clients that it plays."""

    def __init__(self, **options):
        self.ranks = []
        self.dispatcher = Dispatcher(2, self, **options)
        self.dispatcher.gang.start()
        self.clients = []

    def start(self, rank):
        self.ranks.append(Rank())
        return self.ranks[-1].theirs, None

    def configuration(self, rank):
        return {}

    def client(self):
        self.clients.append(Client(self.dispatcher))
        return self.clients[-1]

    def turn(self, times=3):
        for _ in range(times):
            for rank in self.ranks:
                with contextlib.suppress(ConnectionEnded, OSError):
                    rank.connection.flush()
            self.dispatcher.loop.turn(0)
        self.dispatcher.state.check()

    def ready(self):
        for rank in self.ranks:
            rank.say(FrameKind.READY, json.dumps({"seconds": 0.0}).encode())
        self.turn()

    def close(self):
        self.dispatcher.close()
        for one in (*self.ranks, *self.clients):
            one.connection.close()


@pytest.fixture
def world():
    made = World()
    made.ready()
    yield made
    made.close()


def _call(number, **fields):
    return Call(segment=0, inputs=(1,), live=(2,), outputs=(100 + number,), number=number, **fields)


def test_every_rank_gets_every_message_in_one_order(world):
    clients = [world.client() for _ in range(3)]
    for client in clients:
        client.send(Put(value=1, meta=_META, data=bytes(16)), Define(segment=0, body=_BODY))
    for number in range(5):
        for client in clients:
            client.send(_call(number))
        world.turn(1)
    world.turn()
    seen = []
    for rank in world.ranks:
        rank.read()
        seen.append(
            [(frame.sequence, frame.session, frame.kind, bytes(frame.payload)) for frame in rank.frames]
        )
    assert seen[0] == seen[1]
    assert [one[0] for one in seen[0]] == list(range(1, len(seen[0]) + 1))
    assert len(seen[0]) == 3 * (1 + 1 + 2 + 5)  # OPEN, PUT, TEMPLATES and DEFINE, calls


def test_a_client_that_sends_without_end_is_stopped_and_goes_on_when_ranks_have_done_it(world):
    client = world.client()
    client.send(Put(value=1, meta=_META, data=bytes(16)), Define(segment=0, body=_BODY))
    sent = 0
    while sent < 200_000:
        is_taken = client.send(*(_call(number) for number in range(sent, sent + 100)))
        sent += 100
        world.turn(1)
        if not is_taken and client.connection.queued_bytes > 1 << 20:
            break
    state = world.dispatcher.state.sessions[client.session]
    assert state.is_paused
    assert state.messages < 512 + 5000  # and one receive of 256 KiB
    for _ in range(2000):
        for rank in world.ranks:
            if rank.read():
                rank.say(FrameKind.ACK, sequence=rank.frames[-1].sequence)
        world.turn(1)
        client.connection.flush()
        if not state.messages and not client.connection.queued_bytes:
            break
    calls = [frame for frame in world.ranks[0].frames if frame.kind is FrameKind.CALL]
    assert len(calls) == sent
    assert not state.is_paused


def _answer(world, data=b""):
    """Each rank does what it has and answers what it was asked."""
    for index, rank in enumerate(world.ranks):
        for frame in rank.read():
            if frame.kind is FrameKind.ASK or (frame.kind is FrameKind.FETCH and index == 0):
                request = json.loads(bytes(frame.payload))["request"]
                given = data if frame.kind is FrameKind.FETCH else b""
                encoded = encode_reply(
                    Reply(request=request, body={"rank": index}, data=given), passes_files=False
                )
                rank.say(encoded.kind, *encoded.parts, session=frame.session, sequence=frame.sequence)
            rank.say(FrameKind.ACK, sequence=frame.sequence)
    world.turn(40)


def test_a_client_that_takes_no_answers_holds_nobody_up_and_little_memory():
    world = World(limits=Limits(undelivered_bytes=1 << 20))
    try:
        world.ready()
        slow, quick = world.client(), world.client()
        for client in (slow, quick):
            client.send(Put(value=1, meta=_META, data=bytes(16)))
        for request in range(12):
            slow.send(Fetch(request=request, value=1))
            quick.send(Ask(request=request, topic="barrier"))
            world.turn()
            _answer(world, bytes(1 << 20))
        answered = [decode_reply(frame).request for frame in iter_frames(quick.connection)]
        assert answered == list(range(12))
        held = world.dispatcher.clients[slow.session].connection.queued_bytes
        assert held < 4 << 20
        # And when it takes them, it gets them all.
        got = []
        for _ in range(60):
            got += iter_frames(slow.connection)
            world.turn()
            _answer(world, bytes(1 << 20))
        assert [decode_reply(frame).request for frame in got] == list(range(12))
    finally:
        world.close()


def test_answers_of_ranks_are_joined(world):
    client = world.client()
    client.send(Ask(request=1, topic="statistics"), Ask(request=2, topic="describe", details={"values": []}))
    world.turn()
    _answer(world)
    first, second = (decode_reply(frame).body for frame in iter_frames(client.connection))
    assert first == {"workers": [{"rank": 0}, {"rank": 1}]}
    assert second == {"rank": 0}


def test_who_only_looks_is_answered_though_the_ranks_are_not(world):
    client = world.client()
    client.send(Ask(request=1, topic="monitor"))
    world.turn()
    (frame,) = iter_frames(client.connection)
    body = decode_reply(frame).body
    assert [rank["rank"] for rank in body["ranks"]] == [0, 1]
    assert body["sessions"][0]["session"] == client.session


def test_who_only_looks_and_takes_no_answers_is_refused(world, monkeypatch):
    monkeypatch.setattr(dispatcher, "_MOST_UNTAKEN", 1 << 16)
    client = world.client()
    for request in range(4000):
        if client.session not in world.dispatcher.clients:
            break
        with contextlib.suppress(ConnectionEnded):
            client.send(Ask(request=request, topic="monitor"))
        world.turn(1)
    assert client.session not in world.dispatcher.clients


def test_a_lost_rank_is_told_to_every_client_where_nobody_recovers(world):
    clients = [world.client(), world.client()]
    world.ranks[1].connection.close()
    world.turn()
    for client in clients:
        (frame,) = iter_frames(client.connection)
        assert frame.kind is FrameKind.REFUSED
        assert "rank 1 was lost" in json.loads(bytes(frame.payload))["message"]


def test_a_rank_of_another_world_does_not_end_the_others_clients(world):
    client = world.client()
    world.ranks[0].say(FrameKind.PUT, b"")
    world.turn()
    (frame,) = iter_frames(client.connection)
    assert "rank 0 was lost" in json.loads(bytes(frame.payload))["message"]


def test_the_log_says_what_was_dispatched_and_when(tmp_path):
    path = tmp_path / "log.jsonl"
    world = World(instruction_log=path)
    world.ready()
    client = world.client()
    client.send(Put(value=1, meta=_META, data=bytes(16)), Define(segment=0, body=_BODY), _call(7))
    world.turn()
    for rank in world.ranks:
        rank.read()
        rank.say(FrameKind.ACK, sequence=rank.frames[-1].sequence)
    world.turn()
    client.connection.close()
    world.turn()
    world.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines[:3]] == ["start", "ranks", "session"]
    assert lines[0]["world_size"] == 2
    (segment,) = (line for line in lines if line["event"] == "segment")
    assert (segment["instructions"], segment["ops"]) == (3, {"aten.add.Tensor": 3})
    messages = {line["kind"]: line for line in lines if line["event"] == "message"}
    assert set(messages) == {"OPEN", "PUT", "TEMPLATES", "DEFINE", "CALL"}
    call = messages["CALL"]
    assert (call["instructions"], call["segment"], call["call"]) == (3, 0, 7)
    assert 0 < call["received"] <= call["forwarded"] <= call["time"]
    assert lines[-1]["event"] == "session"
    assert lines[-1]["is_open"] is False
