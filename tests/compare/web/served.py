"""A server in this process that has compared two runs, for the tests of what it says of them."""

import contextlib
import time

from safetensors.torch import save_file
from starlette.testclient import TestClient

from outgrow.compare.web.app import make_app
from outgrow.compare.web.options import Options

TOKEN = "test-token"


class Tab:
    """A page's calls, in a session of its own."""

    def __init__(self, client):
        self._client = client
        info = client.get("/api/session").json()
        self.headers = {"X-Outgrow-Session": info["session"]}

    def wait(self):
        """Until the comparison is ready."""
        until = time.monotonic() + 30
        while (status := self.get("/comparison").json())["state"] != "ready":
            assert status["state"] in ("opening", "comparing"), status
            assert time.monotonic() < until, status
            time.sleep(0.01)
        return self

    def get(self, path):
        return self._client.get(f"/api{path}", headers=self.headers)

    def post(self, path, body):
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return self._client.post(f"/api{path}", headers=self.headers, **content)


def save(folder, expected, actual):
    """Both as files."""
    paths = [folder / f"{side}.safetensors" for side in ("expected", "actual")]
    for path, tensors in zip(paths, (expected, actual), strict=True):
        save_file(tensors, path)
    return paths


@contextlib.contextmanager
def served(folder, expected, actual, **options):
    """A tab that looks at two runs, each a path or tensors by name."""
    (folder / "static").mkdir(exist_ok=True)
    (folder / "static" / "index.html").write_text("<!doctype html>")
    if isinstance(expected, dict):
        expected, actual = save(folder, expected, actual)
    paths = tuple(actual) if isinstance(actual, list) else (actual,)
    app = make_app(
        Options(expected=expected, actual=paths, static=folder / "static", **options), token=TOKEN, port=5000
    )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(app, base_url="http://127.0.0.1:5000", headers=headers) as client:
        tab = Tab(client).wait()
        tab.app = app
        yield tab
