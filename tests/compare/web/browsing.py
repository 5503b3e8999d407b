"""Tabs of one server in this process, for the tests of the server itself."""

import contextlib
import io
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save
from starlette.testclient import TestClient

from outgrow.compare.web.app import make_app
from outgrow.compare.web.options import Options

TOKEN = "test-token"
BASE = "http://127.0.0.1:5000"
RUNNING = ("opening", "comparing")


def tensor_bytes(seed=0, *shape):
    """A safetensors file with one tensor `a`."""
    generator = torch.Generator().manual_seed(seed)
    return save({"a": torch.randn(*(shape or (4, 5)), generator=generator)})


def bare_bytes(seed=0, *shape):
    """A torch file with one tensor."""
    generator = torch.Generator().manual_seed(seed)
    out = io.BytesIO()
    torch.save(torch.randn(*(shape or (4, 5)), generator=generator), out)
    return out.getvalue()


class Tab:
    """A session of its own. Calls give httpx responses; `fine` gives the JSON of those that must succeed."""

    def __init__(self, client, session=None):
        self._client = client
        self.headers = {"Authorization": f"Bearer {TOKEN}"}
        info = self.fine("GET", "/session")
        self.id = info["session"]
        self.headers["X-Outgrow-Session"] = self.id

    def call(self, method, path, **options):
        headers = {**self.headers, **options.pop("headers", {})}
        return self._client.request(method, f"/api{path}", headers=headers, **options)

    def fine(self, method, path, **options):
        answer = self.call(method, path, **options)
        assert answer.is_success, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def refused(self, method, path, **options):
        """Status, code and the whole error of a call that must fail, calmly."""
        answer = self.call(method, path, **options)
        assert answer.is_client_error or answer.status_code in (503, 507), (answer.status_code, answer.text)
        error = answer.json()["error"]
        assert error["message"]
        assert "Traceback" not in answer.text
        assert "/proc/" not in answer.text
        return answer.status_code, error["code"], error

    def upload(self, side, name, content):
        return self.fine("POST", f"/sides/{side}/uploads", params={"name": name}, content=content)

    def compare(self, **settings):
        """The last status."""
        status = self.fine("POST", "/comparison", json=settings)
        until = time.monotonic() + 60
        while status["state"] in RUNNING:
            assert time.monotonic() < until, status
            status = self.fine("GET", f"/comparison?after={status['revision']}")
        return status


@contextlib.contextmanager
def browser(**options):
    """Begins tabs of a server of its own."""
    with TemporaryDirectory() as folder:
        page = Path(folder)
        (page / "index.html").write_text("<!doctype html><title>page</title>")
        (page / "assets").mkdir()
        (page / "assets" / "index.js").write_text("1")
        app = make_app(Options(static=page, **options), token=TOKEN, port=5000)
        with TestClient(app, base_url=BASE, raise_server_exceptions=False) as client:

            def begin():
                return Tab(client)

            begin.client = client
            begin.app = app
            yield begin
