"""Clients that stop in the middle of anything are dropped, and those that go on are not, however slow."""

import contextlib
import socket
import threading
import time

import pytest

from outgrow.compare.web import Options, open_server
from outgrow.compare.web.connection import Connection
from tests.compare.web.serving import eventually


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One in this process, whose patience is short."""
    page = tmp_path_factory.mktemp("page")
    (page / "index.html").write_bytes(b"x" * 30_000_000)
    patience = {"look_seconds": 0.05, "head_seconds": 0.6, "still_seconds": 1.2}
    with pytest.MonkeyPatch.context() as patch:
        for name, seconds in patience.items():
            patch.setattr(Connection, name, seconds)
        with open_server(Options(port=0, static=page)) as made:
            serving = threading.Thread(target=made.serve)
            serving.start()
            try:
                yield made
            finally:
                made.stop()
                serving.join(10)
                assert not serving.is_alive()


@pytest.fixture
def wire(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as made:
        yield made


def head(server, method, path, *lines, session=None):
    named = [f"X-Outgrow-Session: {session}"] if session else []
    fixed = [f"Host: 127.0.0.1:{server.port}", f"Authorization: Bearer {server.token}"]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *fixed, *named, *lines, "", ""]).encode()


def is_dropped(wire, seconds=6.0):
    """Whether the other end closes it in time, without a word."""
    wire.settimeout(seconds)
    try:
        return wire.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def drip(wire, data, pause):
    """Send byte for byte; whether all were taken."""
    for index in range(len(data)):
        try:
            wire.sendall(data[index : index + 1])
        except (BrokenPipeError, ConnectionResetError):
            return False
        time.sleep(pause)
    return True


def is_refused(wire):
    """Whether the whole of an answer of 404 comes."""
    answer = b""
    while not answer.endswith(b"}}"):
        piece = wire.recv(4096)
        assert piece, answer
        answer += piece
    return b" 404 " in answer


def begin(server):
    import json
    import urllib.request

    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/api/session", headers={"Authorization": f"Bearer {server.token}"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["session"]


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_has_to_come_in_time(wire, sent):
    started = time.monotonic()
    wire.sendall(sent)
    assert is_dropped(wire)
    assert time.monotonic() - started > 0.3


def test_a_head_that_drips_is_dropped(server, wire):
    assert not drip(wire, head(server, "GET", "/nothing") * 3, 0.05)


def test_a_second_head_has_to_come_in_time(server, wire):
    wire.sendall(head(server, "GET", "/nothing"))
    assert is_refused(wire)
    time.sleep(1.0)
    # At rest between two calls: that is uvicorn's time-out.
    wire.sendall(head(server, "GET", "/nothing"))
    assert is_refused(wire)
    assert not drip(wire, head(server, "GET", "/nothing") * 3, 0.05)


def test_a_body_that_does_not_move_is_dropped(server, wire):
    session = begin(server)
    call = head(server, "POST", "/api/sides/actual/uploads?name=x", "Content-Length: 99", session=session)
    wire.sendall(call + b"abc")
    assert is_dropped(wire)


def test_a_body_that_moves_slowly_is_taken(server, wire):
    session = begin(server)
    call = head(server, "POST", "/api/sides/actual/uploads?name=x", "Content-Length: 8", session=session)
    wire.sendall(call)
    assert drip(wire, b"abcdefgh", 0.2)
    assert b"201 Created" in wire.recv(4096)


def test_a_body_that_nobody_wants_has_to_end_in_time(server, wire):
    wire.sendall(head(server, "POST", "/api/nothing", "Content-Length: 999"))
    assert is_refused(wire)
    assert not drip(wire, b"x" * 99, 0.05)


def test_an_answer_that_nobody_reads_is_dropped(server):
    with contextlib.closing(socket.socket()) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.connect(("127.0.0.1", server.port))
        wire.sendall(head(server, "GET", "/"))
        time.sleep(2.5)
        wire.settimeout(5)
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := wire.recv(1 << 20):
                taken += len(piece)
        assert taken < 30_000_000


def test_an_answer_that_is_read_slowly_comes_whole(server, wire):
    wire.sendall(head(server, "GET", "/", "Connection: close"))
    taken = 0
    started = time.monotonic()
    while piece := wire.recv(1 << 20):
        taken += len(piece)
        time.sleep(0.025)
    assert taken > 30_000_000
    assert time.monotonic() - started > 0.5


def test_a_call_that_waits_for_us_is_not_dropped(server, wire):
    session = begin(server)
    wire.sendall(head(server, "GET", "/api/comparison?after=0", session=session))
    assert not is_dropped(wire, 1.8)


def test_connections_are_counted(server, monkeypatch):
    """Beyond the limit a client is told to come back; the others stay."""
    loop = server._uvicorn
    assert eventually(lambda: not loop.server_state.connections)
    monkeypatch.setattr(loop.config, "limit_concurrency", 5)
    with contextlib.ExitStack() as stack:
        wires = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            for _ in range(5)
        ]
        wires[-1].sendall(head(server, "GET", "/nothing"))
        assert b"503" in wires[-1].recv(4096)
        wires[0].close()
        wires[-1].close()
        assert eventually(lambda: len(loop.server_state.connections) == 3)
        wires[1].sendall(head(server, "GET", "/nothing"))
        assert is_refused(wires[1])


def test_the_end_does_not_wait_for_calls_on_their_way(tmp_path):
    (tmp_path / "index.html").write_text("x")

    def seconds():
        with open_server(Options(port=0, static=tmp_path)) as made:
            serving = threading.Thread(target=made.serve)
            serving.start()
            session = begin(made)
            call = head(
                made, "POST", "/api/sides/actual/uploads?name=x", "Content-Length: 9", session=session
            )
            with socket.create_connection(("127.0.0.1", made.port)) as wire:
                wire.sendall(call + b"abc")
                time.sleep(0.1)
                started = time.monotonic()
                made.stop()
                serving.join(10)
                assert not serving.is_alive()
                return time.monotonic() - started

    # Without being dropped they would have a second to come to their end.
    assert any(seconds() < 0.9 for _ in range(3))
