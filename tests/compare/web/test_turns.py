"""Who asks anew, or for too much, is ended and told so."""

import asyncio
import threading
import time

import pytest

from outgrow.compare import view
from outgrow.compare.web import turns
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.turns import Turns
from tests.compare.web import own_loop
from tests.compare.web.served import TOKEN, Tab, served
from tests.compare.web.tensor_calls import permuted_runs, row_of, spec


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with served(tmp_path_factory.mktemp("served"), *permuted_runs()) as tab:
        yield tab


@pytest.fixture
def endless(monkeypatch):
    """A search that goes on until it is ended; the second one finds something."""
    begun, ended = threading.Event(), threading.Event()

    def find(*_, check, **__):
        if begun.is_set():
            return view.Found(index=(0, 0, 0))
        begun.set()
        try:
            while True:
                check()
                time.sleep(0.002)
        finally:
            ended.set()

    monkeypatch.setattr(view, "find", find)
    return begun, ended


def test_a_new_search_ends_the_one_before(tab, endless):
    begun, ended = endless
    path, answers = f"/rows/{row_of(tab, '3_key')}/find", []
    first = threading.Thread(target=lambda: answers.append(tab.post(path, {"what": "nan"})))
    first.start()
    assert begun.wait(10)
    assert tab.post(path, {"what": "nan"}).json()["index"] == [0, 0, 0]
    first.join()
    assert ended.is_set()
    assert answers[0].status_code == 499
    assert answers[0].json()["error"]["code"] == "cancelled"


def test_another_tab_ends_no_search_of_this_one(tab, endless):
    begun, ended = endless
    other, row = Tab(tab._client).wait(), row_of(tab, "3_key")
    first = threading.Thread(target=lambda: tab.post(f"/rows/{row}/find", {"what": "nan"}))
    first.start()
    assert begun.wait(10)
    assert other.post(f"/rows/{row}/find", {"what": "nan"}).json()["index"] == [0, 0, 0]
    assert not ended.wait(0.1)
    assert tab.post(f"/rows/{row}/find", {"what": "nan"}).status_code == 200
    first.join()
    assert ended.is_set()


def test_a_search_ends_with_its_connection(tab, endless):
    begun, ended = endless
    path = f"/api/rows/{row_of(tab, '3_key')}/find"
    headers = {"host": "127.0.0.1:5000", "authorization": f"Bearer {TOKEN}", **tab.headers}
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": path, "raw_path": path.encode(),
        "query_string": b"", "scheme": "http", "server": ("127.0.0.1", 5000), "client": ("127.0.0.1", 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    sent = [{"type": "http.request", "body": b'{"what": "nan"}', "more_body": False}]
    statuses = []

    async def receive():
        if sent:
            return sent.pop()
        await asyncio.to_thread(begun.wait, 10)
        return {"type": "http.disconnect"}

    async def send(message):
        statuses.append(message.get("status"))

    own_loop.run(tab.app(scope, receive, send))
    assert ended.is_set()
    assert statuses[0] == 499


@pytest.mark.parametrize("which", ["expected", "difference"])
def test_a_picture_ends_too(tab, monkeypatch, which):
    monkeypatch.setattr(turns, "_MOST_SECONDS", -1.0)
    body = {"which": which, "expected": spec(0, 0, 0, rows=0, columns=1), "max_height": 8, "max_width": 8}
    answer = tab.post(f"/rows/{row_of(tab, '3_key')}/tile", body)
    assert answer.status_code == 503
    assert answer.json()["error"]["hint"]


def test_a_call_that_takes_too_long_ends(monkeypatch):
    monkeypatch.setattr(turns, "_MOST_SECONDS", -1.0)
    with Turns().take("one") as turn, pytest.raises(ApiError, match="took more than") as caught:
        turn()
    assert caught.value.status == 503


def test_who_asks_anew_ends_what_was_asked_before():
    held = Turns()
    with held.take("one") as first:
        with held.take("two") as other, held.take(None), held.take(None) as free:
            first()
            with held.take("one") as second:
                with pytest.raises(ApiError, match="was cancelled") as caught:
                    first()
                assert caught.value.status == 499
                second()
            other()
            free()
        with held.take("one") as third:
            third()
        with pytest.raises(ApiError):
            first()
    assert not held._turns
