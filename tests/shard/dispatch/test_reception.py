import json
import os
import socket
import threading
import time

import pytest
import torch

from outgrow.placement import Owned, Partial, Shard
from outgrow.shard.dispatch.admission import Admission
from outgrow.shard.dispatch.loop import Loop
from outgrow.shard.dispatch.reception import Reception
from outgrow.shard.engines.remote import DispatcherUnreachable, connect_to, reach
from outgrow.shard.instructions import TensorMeta
from outgrow.shard.messages import Ask, Place, Put
from outgrow.shard.wire import handshake
from outgrow.shard.wire.address import Address
from outgrow.shard.wire.codec import Encoder
from outgrow.shard.wire.connection import ConnectionEnded
from outgrow.shard.wire.frame import Frame, FrameKind, ProtocolError, pack_header
from outgrow.shard.wire.handshake import HandshakeFailed
from outgrow.shard.wire.token import make_token

META = TensorMeta((3,), (1,), torch.float32)


class Front:
    """A reception that runs in a thread, with a list of whom it let in."""

    def __init__(self, address, token):
        self.loop, self.guests, self.is_over = Loop(), [], False
        self.reception = Reception(self.loop, lambda guest: None, self.welcome)
        listener = address.listen()
        self.address = Address.of(listener)
        self.reception.listen(listener, token)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def welcome(self, connection, guest):
        self.guests.append(guest)
        connection.flush_all()
        connection.close()

    def run(self):
        while not self.is_over:
            self.loop.turn(0.02)
            self.reception.tick(time.monotonic())
        self.reception.close()
        self.loop.close()

    def close(self):
        self.is_over = True
        self.thread.join()


@pytest.fixture
def token():
    return make_token()


@pytest.fixture
def front(token):
    made = Front(Address(host="127.0.0.1", port=0), token)
    yield made
    made.close()


def _raw(front):
    return socket.create_connection((front.address.host, front.address.port), 5)


def _rest(opened):
    """Everything until the other side closes."""
    opened.settimeout(10)
    data = b""
    try:
        while more := opened.recv(65536):
            data += more
    except ConnectionResetError:
        pass
    opened.close()
    return data


def test_who_knows_the_token_is_let_in(front, token):
    reach(front.address, token, role="client").close()
    reach(front.address, token, role="rank", rank=3).close()
    assert [(guest.role, guest.rank) for guest in front.guests] == [("client", None), ("rank", 3)]


def test_a_wrong_token_is_refused_by_name(front):
    with pytest.raises(HandshakeFailed, match="the token is wrong"):
        reach(front.address, make_token(), role="client")
    assert front.guests == []


@pytest.mark.parametrize("name", ["protocol", "outgrow", "torch"])
def test_another_version_is_refused_by_name(front, token, name):
    guest_versions = {**handshake._versions(), name: "0.0"}
    opened = _raw(front)
    data = opened.recv(handshake.HANDSHAKE_BYTES)
    challenge = json.loads(data[data.index(b"{") :])
    body = {**guest_versions, "role": "client", "rank": None, "nonce": "n"}
    body["proof"] = handshake._proof(token, "guest client None", challenge["nonce"], "n")
    payload = json.dumps(body).encode()
    opened.sendall(pack_header(FrameKind.PROOF, len(payload)) + payload)
    assert f"version 0.0 of {name}".encode() in _rest(opened)
    assert front.guests == []


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3,
        os.urandom(5000),
        pack_header(FrameKind.PROOF, 1 << 40),
        pack_header(FrameKind.PROOF, 2) + b"{}",
        pack_header(FrameKind.PROOF, 5) + b"\xff[]{}",
        pack_header(FrameKind.CALL, 0),
        pack_header(FrameKind.PROOF, 2000) + b"[" * 2000,
    ],
    ids=["http", "noise", "huge", "empty", "no text", "too early", "deep"],
)
def test_garbage_is_turned_away_and_others_are_let_in(front, token, data):
    opened = _raw(front)
    opened.sendall(data)
    _rest(opened)
    reach(front.address, token, role="client").close()
    assert len(front.guests) == 1


def test_who_says_nothing_is_turned_away_and_keeps_nobody_out(front, token, monkeypatch):
    monkeypatch.setattr(Reception, "SECONDS", 0.3)
    silent = [_raw(front) for _ in range(10)]
    reach(front.address, token, role="client").close()
    for opened in silent:
        assert b"no proof came" in _rest(opened)
    assert front.reception.newcomers == []


def test_no_more_strangers_are_kept_than_there_is_room_for(front, monkeypatch):
    monkeypatch.setattr(Reception, "MOST", 3)
    opened = [_raw(front) for _ in range(5)]
    for one in opened[3:]:
        assert _rest(one) == b""
    for one in opened[:3]:
        one.close()


def test_a_proof_of_another_line_is_worth_nothing(front, token):
    """What somebody overheard cannot be said again."""
    first, second = _raw(front), _raw(front)
    data = first.recv(handshake.HANDSHAKE_BYTES)
    challenge = json.loads(data[data.index(b"{") :])
    second.recv(handshake.HANDSHAKE_BYTES)
    body = {**handshake._versions(), "role": "client", "rank": None, "nonce": "n"}
    body["proof"] = handshake._proof(token, "guest client None", challenge["nonce"], "n")
    payload = json.dumps(body).encode()
    second.sendall(pack_header(FrameKind.PROOF, len(payload)) + payload)
    assert b"token is wrong" in _rest(second)
    first.close()


def test_somebody_who_does_not_know_the_token_is_not_taken_for_the_dispatcher(front, token, monkeypatch):
    def judge(self, frame):
        return handshake.Guest(role="client", rank=None, host=""), b'{"proof": "x"}'

    monkeypatch.setattr(handshake.Host, "judge", judge)
    with pytest.raises(HandshakeFailed, match="does not know the token"):
        reach(front.address, token, role="client")


def test_over_a_network_a_token_is_needed(front):
    with Address(host="127.0.0.1", port=0).listen() as listener, pytest.raises(ValueError, match="token"):
        front.reception.listen(listener, None)


def test_programs_of_one_user_need_no_token_where_the_kernel_says_who_they_are():
    front = Front(Address(path=f"@outgrow-test-{os.getpid()}-{threading.get_ident()}"), None)
    try:
        reach(front.address, b"", role="client").close()
        assert len(front.guests) == 1
    finally:
        front.close()


def test_an_unreachable_dispatcher_is_named_with_the_time_tried():
    with Address(host="127.0.0.1", port=0).listen() as listener:
        address = Address.of(listener)
    with pytest.raises(DispatcherUnreachable, match=rf"{address}, tried for 0\.\d s"):
        connect_to(str(address), token="ab" * 32, timeout_seconds=0.3)


def test_somebody_else_at_the_address_is_named():
    with Address(host="127.0.0.1", port=0).listen() as listener:
        with pytest.raises(DispatcherUnreachable, match="no dispatcher, or too busy"):
            connect_to(str(Address.of(listener)), token="ab" * 32, timeout_seconds=0.3)
        listener.accept()[0].close()


@pytest.mark.parametrize("kind", [kind for kind in FrameKind if kind.value > 7], ids=lambda kind: kind.name)
def test_kinds_that_are_not_a_clients_are_refused(kind):
    with pytest.raises(ProtocolError, match=kind.name):
        Admission(1, 2).admit(Frame(kind, b"{}"))


@pytest.mark.parametrize(
    "message",
    [
        Put(value=2, meta=META, data=bytes(12), placement=Shard(1)),
        Put(value=2, meta=META, data=bytes(12), placement=Owned(2)),
        Place(value=1, placement=Owned(2)),
        Place(value=1, placement=Partial()),
        Ask(request=1, topic="describe", details={"values": [7]}),
        Ask(request=1, topic="describe"),
        Ask(request=1, topic="plans", details={"kinds": 3}),
    ],
    ids=repr,
)
def test_what_would_bring_a_rank_down_never_gets_there(message):
    admission, encoder = Admission(1, 2), Encoder(passes_files=False)

    def send(one):
        for encoded in encoder.encode(one):
            admission.admit(Frame(encoded.kind, b"".join(bytes(part) for part in encoded.parts)))

    send(Put(value=1, meta=META, data=bytes(12), placement=Shard(0)))
    send(Ask(request=1, topic="describe", details={"values": [1]}))
    with pytest.raises(ProtocolError):
        send(message)


def test_ended_lines_are_noticed(front):
    opened = _raw(front)
    opened.close()
    with pytest.raises((ConnectionEnded, DispatcherUnreachable, HandshakeFailed)):
        reach(front.address, make_token(), role="client", timeout_seconds=1)
