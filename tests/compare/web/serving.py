"""A server as people start it: a process of its own, talked to over the wire."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

STATIC = Path(__file__).parents[3] / "src" / "outgrow" / "compare" / "web" / "static"


class Served:
    """`outgrow web` on a free port."""

    def __init__(self, process):
        self.process = process
        self.rest = None
        """What it wrote to stdout behind its line, after `end`."""
        self.line = process.stdout.readline()
        assert self.line, process.stderr.read()
        address, _, self.token = self.line.strip().partition("/#token=")
        self.port = int(address.rpartition(":")[2])
        self.head = f"Host: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.token}\r\n"

    def connect(self):
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def call(self, method, path, body=None, session=None, **headers):
        """Status and JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.token}", **headers}
        if session:
            headers["X-Outgrow-Session"] = session
        with contextlib.closing(connection):
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.status, json.loads(content) if is_json else content

    def begin(self):
        """The id of a new session."""
        status, info = self.call("GET", "/api/session")
        assert status == 200
        return info["session"]

    def upload(self, session, side, content, name="x.pth"):
        status, item = self.call("POST", f"/api/sides/{side}/uploads?name={name}", content, session)
        assert status == 201, item
        return item

    def compare(self, session):
        """The last status."""
        _, status = self.call("POST", "/api/comparison", "{}", session)
        while status["state"] in ("opening", "comparing"):
            path = f"/api/comparison?after={status['revision']}"
            _, status = self.call("GET", path, session=session)
        return status

    @property
    def files(self):
        """Descriptors that the process has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    @property
    def nameless(self):
        """Temporary files that it has open."""
        return len(nameless_files(self.process.pid))

    @property
    def threads(self):
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def end(self, number=signal.SIGINT):
        """Send a signal; seconds until the process has ended, its exit code and what it said."""
        started = time.perf_counter()
        self.process.send_signal(number)
        self.rest, said = self.process.communicate(timeout=20)
        return time.perf_counter() - started, self.process.returncode, said


def nameless_files(process="self"):
    """Files of a process that have no name."""
    found = []
    for path in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(path.readlink()))
    return sorted(name for name in found if name.endswith("(deleted)"))


@contextlib.contextmanager
def serving(tmp_path, *arguments, **options):
    """A server whose temporary files lie in `tmp_path / "temporary"`; it is gone afterwards."""
    page, temporary = tmp_path / "page", tmp_path / "temporary"
    for folder in (page, temporary):
        folder.mkdir(exist_ok=True)
    (page / "index.html").write_text("<!doctype html><title>page</title>")
    command = [
        sys.executable, "-m", "outgrow", "web", "--no-browser", "--port", "0", "--static", str(page),
        *map(str, arguments),
    ]  # fmt: skip
    environment = {**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1", "OUTGROW_KERNEL": "torch"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )
    with process:
        try:
            yield Served(process)
        finally:
            if process.poll() is None:
                process.kill()


def eventually(condition, seconds=10.0):
    """Whether it comes true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
