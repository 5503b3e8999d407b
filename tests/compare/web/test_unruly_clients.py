"""Whatever clients do to `outgrow web`, the others are answered and nothing is left."""

import contextlib
import io
import socket
import threading
import time
import zipfile

import pytest

from tests.compare.web.browsing import bare_bytes
from tests.compare.web.serving import eventually, serving


def test_fifty_tabs_leave_nothing(tmp_path, shared):
    def use():
        session = shared.begin()
        for side in ("expected", "actual"):
            shared.upload(session, side, bare_bytes())
        assert shared.compare(session)["state"] == "ready"
        assert shared.call("GET", "/api/report.json", session=session)[0] == 200
        assert shared.call("DELETE", "/api/session", session=session)[0] == 204

    for _ in range(3):
        use()
    files, threads = shared.files, shared.threads
    for _ in range(50):
        use()
    assert shared.nameless == 0
    # One or two of the pool may have come or gone.
    assert eventually(lambda: shared.files <= files and shared.threads <= threads + 2), (
        shared.files, files, shared.threads, threads,
    )  # fmt: skip


def test_connections_that_are_cut_leave_nothing(shared):
    session = shared.begin()
    before = shared.files
    head = f"POST /api/sides/actual/uploads?name=x HTTP/1.1\r\n{shared.head}X-Outgrow-Session: {session}\r\n"
    bodies = [
        "Content-Length: 9000000\r\n\r\n" + "x" * 100_000,
        "Content-Length: 9000000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffff\r\n" + "x" * 70_000,
        "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        "Expect: 100-continue\r\nContent-Length: 9000000\r\n\r\n",
    ]
    for body in bodies * 3:
        for is_reset in (False, True):
            with shared.connect() as wire:
                wire.sendall((head + body).encode())
                if is_reset:
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert eventually(lambda: shared.files <= before and shared.nameless == 0)
    _, info = shared.call("GET", "/api/session", session=session)
    assert info["sides"]["actual"] == []
    # The places that they had among the uploads on their way are free again.
    for _ in range(20):
        shared.upload(session, "actual", b"x")
    shared.call("DELETE", "/api/session", session=session)


def test_uploads_at_a_time_are_limited(shared):
    session = shared.begin()
    head = (
        f"POST /api/sides/actual/uploads?name=x HTTP/1.1\r\n{shared.head}X-Outgrow-Session: {session}\r\n"
        "Content-Length: 9\r\n\r\nabc"
    )
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(shared.connect()) for _ in range(16)]
        for wire in wires:
            wire.sendall(head.encode())
        assert eventually(lambda: shared.nameless == 16)
        status, answer = shared.call("POST", "/api/sides/actual/uploads?name=x", b"x", session)
        assert (status, answer["error"]["code"]) == (429, "busy")
        other = shared.begin()
        shared.upload(other, "actual", b"x")
        for wire in wires:
            wire.sendall(b"defghi")
            assert b"201 Created" in wire.recv(4096)
    assert shared.nameless == 17
    for ended in (session, other):
        shared.call("DELETE", "/api/session", session=ended)


def test_an_upload_that_does_not_fit_on_the_disk_is_refused_at_once(shared):
    session = shared.begin()
    with shared.connect() as wire:
        wire.sendall(
            (
                f"POST /api/sides/actual/uploads?name=x HTTP/1.1\r\n{shared.head}"
                f"X-Outgrow-Session: {session}\r\nContent-Length: {64 * 2**30 + 1}\r\n\r\n"
            ).encode()
        )
        assert b"413 " in wire.recv(4096)
    assert eventually(lambda: shared.nameless == 0)


def test_a_disk_that_is_full_is_told(tmp_path):
    """Files of this server cannot grow beyond a megabyte: uploads, and what is unpacked."""
    import resource

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))

    with serving(tmp_path, preexec_fn=limit) as server:
        session = server.begin()
        status, answer = server.call("POST", "/api/sides/actual/uploads?name=x", bytes(2**20 + 1), session)
        assert (status, answer["error"]["code"]) == (507, "disk")
        assert "TMPDIR" in answer["error"]["hint"]
        assert server.nameless == 0
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", bytes(2**21))
        server.upload(session, "actual", packed.getvalue(), "x.zip")
        server.upload(session, "expected", bare_bytes())
        status = server.compare(session)
        assert status["state"] == "failed"
        assert "is full" in status["error"]["message"]
        assert server.nameless == 2
        server.call("DELETE", "/api/session", session=session)
        assert server.nameless == 0


RUBBISH = [
    b"\0" * 1000,
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET  / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    b"POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: identity\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: HOST\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: HOST\r\n" + b"".join(b"X%d: x\r\n" % index for index in range(20_000)),
    b"GET /%zz%ff%00 HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: HOST\r\n folded: x\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /api/session HTTP/1.1\r\nHost: HOST\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: HOST\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
    b"GET /api/session HTTP/1.1\r\nHost: HOST\r\n\r\n" * 50,
]


@pytest.mark.parametrize("index", range(len(RUBBISH)))
def test_what_is_no_call_is_answered_calmly_or_not_at_all(shared, index):
    data = RUBBISH[index].replace(b"HOST", f"127.0.0.1:{shared.port}".encode())
    with shared.connect() as wire:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            wire.sendall(data)
        answer = b""
        with contextlib.suppress(OSError):
            wire.shutdown(socket.SHUT_WR)
            while piece := wire.recv(65536):
                answer += piece
    statuses = [line.split()[1] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert not set(statuses) & {b"101", b"500", b"201"}, answer
    assert b"Traceback" not in answer
    assert b'"session"' not in answer
    assert shared.call("GET", "/")[0] == 200


def test_clients_that_send_nothing_do_not_keep_others_waiting(shared):
    with contextlib.ExitStack() as stack:
        for index in range(300):
            wire = stack.enter_context(shared.connect())
            wire.sendall((b"", b"G", b"GET / HTTP/1.1\r\nHost: x")[index % 3])
        started = time.perf_counter()
        for _ in range(10):
            assert shared.call("GET", "/")[0] == 200
        assert time.perf_counter() - started < 2


def test_waiting_for_news_takes_no_thread(shared):
    """More calls than there are threads wait, and others are answered."""
    session = shared.begin()
    _, status = shared.call("GET", "/api/comparison", session=session)
    call = (
        f"GET /api/comparison?after={status['revision']} HTTP/1.1\r\n{shared.head}"
        f"X-Outgrow-Session: {session}\r\n\r\n"
    )
    threads = shared.threads
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(shared.connect()) for _ in range(100)]
        for wire in wires:
            wire.sendall(call.encode())
        started = time.perf_counter()
        assert shared.call("GET", "/api/session", session=session)[0] == 200
        assert time.perf_counter() - started < 1
        assert shared.threads <= threads + 2
        for side in ("expected", "actual"):
            shared.upload(session, side, bare_bytes())
        shared.call("POST", "/api/comparison", "{}", session)
        for wire in wires:
            assert b"200 OK" in wire.recv(4096)
    shared.call("DELETE", "/api/session", session=session)


def test_many_clients_at_once_are_all_answered(shared):
    problems = []

    def use():
        problems.extend(status for _ in range(20) if (status := shared.call("GET", "/")[0]) != 200)

    threads = [threading.Thread(target=use) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_nothing_was_said_of_all_this(tmp_path):
    """Strangers must not fill the terminal."""
    with serving(tmp_path) as server:
        for data in RUBBISH:
            with server.connect() as wire, contextlib.suppress(OSError):
                wire.sendall(data.replace(b"HOST", f"127.0.0.1:{server.port}".encode()))
        server.call("GET", "/nothing")
        _, _, said = server.end()
        assert said == "Interrupted.\n"
