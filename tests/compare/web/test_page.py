"""The built page: known by name, with types that browsers believe, and nothing beside it."""

import mimetypes

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from outgrow.compare.web.page import PageFiles
from outgrow.errors import StoreError


@pytest.fixture
def folder(tmp_path):
    page = tmp_path / "page"
    (page / "assets").mkdir(parents=True)
    files = {
        "index.html": b"<!doctype html>",
        "assets/page.js": b"1",
        "assets/page.css": b"a{}",
        "x.odd": b"?",
    }
    for name, content in files.items():
        (page / name).write_bytes(content)
    (tmp_path / "secret.txt").write_text("secret")
    return page


@pytest.fixture
def client(folder):
    with TestClient(Starlette(routes=[Route("/{path:path}", PageFiles(folder).answer)])) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("/", b"<!doctype html>", "text/html; charset=utf-8"),
        ("/index.html", b"<!doctype html>", "text/html; charset=utf-8"),
        ("/assets/page.js", b"1", "text/javascript; charset=utf-8"),
        ("/assets/page.css", b"a{}", "text/css; charset=utf-8"),
        ("/x.odd", b"?", "application/octet-stream"),
    ],
)
def test_its_files_are_served_with_their_types(client, monkeypatch, path, content, kind):
    monkeypatch.setattr(mimetypes, "guess_type", lambda _: ("text/plain", None))
    answer = client.get(path)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, content, kind)


@pytest.mark.parametrize(
    "path",
    ["/assets", "/assets/", "/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "/x.odd/",
     "/INDEX.html", "/x.odd%00"],
)  # fmt: skip
def test_nothing_beside_them_is(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "path")


def test_what_has_not_changed_is_not_sent_again(client):
    first = client.get("/assets/page.js")
    again = client.get("/assets/page.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/assets/page.css", headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200
    assert first.headers["cache-control"] == "no-cache"


def test_a_page_that_is_not_there_is_told(tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(StoreError, match="no page") as caught:
            PageFiles(folder)
        assert caught.value.hint


def test_the_page_in_the_package_is_whole():
    page = PageFiles()
    with TestClient(Starlette(routes=[Route("/{path:path}", page.answer)])) as client:
        text = client.get("/").text
        assert "<script" in text
        for part in text.split('"'):
            if part.startswith(("/assets/", "./assets/")):
                assert client.get(part.lstrip(".")).status_code == 200
        # What the policy of the server would not run.
        assert "<style" not in text
        assert " style=" not in text
        assert all(piece.startswith(" ") and "src=" in piece for piece in
                   (piece.split(">")[0] for piece in text.split("<script")[1:]))  # fmt: skip
