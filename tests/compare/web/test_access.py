"""Only this machine, this page and whoever has the token; and what every answer forbids a browser."""

import pytest

from outgrow.compare.web.sessions import Sessions
from tests.compare.web.browsing import TOKEN, browser


@pytest.fixture(scope="module")
def client():
    with browser() as begin:
        yield begin.client


BEARER = {"Authorization": f"Bearer {TOKEN}"}
CALLS = [
    ("GET", "/api/session"),
    ("DELETE", "/api/session"),
    ("POST", "/api/sides/expected/uploads?name=a.pth"),
    ("POST", "/api/sides/expected/paths"),
    ("PUT", "/api/sides/expected"),
    ("GET", "/api/places"),
    ("POST", "/api/comparison"),
    ("GET", "/api/verdict"),
    ("GET", "/api/rows"),
    ("POST", "/api/rows/0/values"),
    ("GET", "/api/report.html"),
    ("GET", "/api/nothing"),
    ("GET", "/api/"),
    ("PATCH", "/api/session"),
    ("HEAD", "/api/session"),
    ("OPTIONS", "/api/session"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer \u00e9".encode()},
        {"Cookie": f"token={TOKEN}"},
    ],
    ids=["none", "wrong", "longer", "shorter", "bare", "basic", "empty", "latin", "cookie"],
)
def test_every_call_of_the_api_needs_the_token(client, method, path, headers):
    answer = client.request(method, path, headers=headers)
    assert answer.status_code == 401
    if method != "HEAD":
        assert answer.json()["error"]["code"] == "token"


def test_the_session_answers_whoever_has_the_token(client):
    assert client.get("/api/session", headers=BEARER).status_code == 200
    assert client.get("/api/session", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


def test_a_token_in_the_address_is_none(client):
    assert client.get("/api/session", params={"token": TOKEN}).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "//api/session",
        "/api//session",
        "/API/session",
        "/api%2fsession",
        "/api%2Fsession",
        "/%61pi/session",
        "/x/../api/session",
        "/api/./session",
        "/api;/session",
        "/api",
    ],
)
def test_no_spelling_leads_past_the_token(client, path):
    answer = client.get(path)
    assert answer.status_code in (401, 404)
    assert "session" not in answer.json()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:5000", 200),
        ("localhost:5000", 200),
        ("LOCALHOST:5000", 200),
        ("127.0.0.1", 403),
        ("127.0.0.1:5001", 403),
        ("evil.example:5000", 403),
        ("127.0.0.1:5000.evil.example", 403),
        ("evil.example@127.0.0.1:5000", 403),
        ("0.0.0.0:5000", 403),
        ("[::1]:5000", 403),
        ("", 403),
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/session", "/nothing"])
def test_only_its_own_address_is_answered(client, path, host, status):
    answer = client.get(path, headers={**BEARER, "Host": host})
    if status == 200:
        assert answer.status_code != 403
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "host")


@pytest.mark.parametrize(
    ("origin", "is_ours"),
    [
        ("http://127.0.0.1:5000", True),
        ("http://localhost:5000", True),
        ("https://127.0.0.1:5000", False),
        ("http://127.0.0.1:5001", False),
        ("http://127.0.0.1", False),
        ("http://evil.example", False),
        ("http://127.0.0.1:5000.evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_other_pages_may_not_call(client, origin, is_ours):
    answer = client.get("/api/session", headers={**BEARER, "Origin": origin})
    if is_ours:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/assets/index.js", {}),
        ("/nothing", {}),
        ("/api/session", BEARER),
        ("/api/session", {}),
        ("/api/nothing", BEARER),
        ("/", {"Host": "evil.example"}),
    ],
)
def test_every_answer_forbids_what_the_page_does_not_need(client, path, headers):
    answer = client.get(path, headers=headers)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert not any("unsafe" in value or "*" in value or "http" in value for value in policy.values())
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] in ("no-store", "no-cache")
    assert "server" not in answer.headers
    assert "set-cookie" not in answer.headers


def test_a_fault_is_told_without_its_words_and_forbids_the_same(client, monkeypatch, capsys):
    def fail(_):
        raise KeyError("a secret")

    monkeypatch.setattr(Sessions, "begin", fail)
    answer = client.get("/api/session", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "fault")
    assert "secret" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"
    assert "a secret" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/api/session", 200),
        ("OPTIONS", "/api/session", 405),
        ("PATCH", "/api/session", 405),
        ("TRACE", "/api/rows", 405),
        ("POST", "/api/verdict", 405),
        ("GET", "/api/nothing", 404),
        ("GET", "/api/", 404),
        ("POST", "/", 405),
        ("DELETE", "/assets/index.js", 405),
        ("HEAD", "/", 200),
    ],
)
def test_other_methods_and_calls_are_told_calmly(client, method, path, status):
    answer = client.request(method, path, headers=BEARER)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]["code"] == "call"
