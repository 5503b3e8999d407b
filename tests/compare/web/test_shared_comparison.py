"""What the server was started with is compared once, and each tab may go its own way from there."""

import threading
import time

import pytest

from tests.compare.web.browsing import Tab, bare_bytes, browser


@pytest.fixture
def runs(tmp_path):
    paths = [tmp_path / "expected.pth", tmp_path / "actual.pth"]
    for seed, path in enumerate(paths):
        path.write_bytes(bare_bytes(seed))
    return paths


def until_ready(tab):
    status = tab.fine("GET", "/comparison")
    until = time.monotonic() + 20
    while status["state"] != "ready":
        assert time.monotonic() < until
        assert status["state"] in ("opening", "comparing"), status
        status = tab.fine("GET", f"/comparison?after={status['revision']}")
    return status


def test_what_the_server_was_started_with_is_compared_once_for_all_tabs(runs, monkeypatch):
    from outgrow.compare.web import opening

    calls = []
    open_comparison = opening.open_comparison

    def counted(*args, **options):
        calls.append(args)
        return open_comparison(*args, **options)

    monkeypatch.setattr(opening, "open_comparison", counted)
    with browser(expected=runs[0], actual=(runs[1],)) as begin:
        tabs = [begin() for _ in range(5)]
        revisions = {until_ready(tab)["revision"] for tab in tabs}
        assert len(calls) == len(revisions) == 1
        for tab in tabs:
            assert tab.fine("GET", "/verdict")["verdict"] == "differ"
            assert [item["name"] for item in tab.fine("GET", "/session")["sides"]["actual"]] == ["actual.pth"]
        # One of them goes its own way; the others stay.
        mine, yours = tabs[:2]
        item = mine.fine("GET", "/session")["sides"]["actual"][0]
        mine.fine("DELETE", f"/sides/actual/{item['id']}")
        mine.upload("actual", "x.pth", bare_bytes(0))
        status = mine.compare()
        assert (status["state"], mine.fine("GET", "/verdict")["verdict"]) == ("ready", "match")
        assert status["revision"] > max(revisions)
        assert yours.fine("GET", "/verdict")["verdict"] == "differ"
        mine.fine("DELETE", "/session")
        yours.fine("DELETE", "/session")
        assert tabs[2].fine("GET", "/verdict")["verdict"] == "differ"
        assert until_ready(Tab(begin.client))["revision"] in revisions


def test_a_call_that_waits_for_the_shared_comparison_hears_of_the_tabs_own(runs):
    with browser(expected=runs[0], actual=(runs[1],)) as begin:
        tab = begin()
        path = f"/comparison?after={until_ready(tab)['revision']}"
        answers = []

        def wait():
            started = time.monotonic()
            answers.append((tab.fine("GET", path), time.monotonic() - started))

        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.1)
        tab.compare(exact=True)
        waiting.join(20)
        status, seconds = answers[0]
        assert seconds < 8  # it would wait for ten
        assert status["revision"] > 0


def test_who_cancels_what_all_look_at_cancels_it_for_themselves(runs, monkeypatch):
    from outgrow.compare.web import opening

    release = threading.Event()
    open_comparison = opening.open_comparison

    def slow(*args, **options):
        release.wait(10)
        return open_comparison(*args, **options)

    monkeypatch.setattr(opening, "open_comparison", slow)
    with browser(expected=runs[0], actual=(runs[1],)) as begin:
        mine, yours = begin(), begin()
        status = mine.fine("GET", "/comparison")
        assert status["state"] == "opening"
        cancelled = mine.fine("DELETE", "/comparison")
        assert cancelled["state"] == "cancelled"
        assert cancelled["revision"] > status["revision"]
        assert yours.fine("GET", "/comparison")["state"] == "opening"
        release.set()
        until_ready(yours)
        assert mine.fine("GET", "/comparison")["state"] == "cancelled"
        assert mine.compare()["state"] == "ready"


def test_a_start_that_fails_is_told_to_every_tab(runs):
    runs[1].write_bytes(b"nonsense")
    with browser(expected=runs[0], actual=(runs[1],)) as begin:
        for _ in range(2):
            tab = begin()
            status = tab.fine("GET", "/comparison")
            while status["state"] == "opening":
                status = tab.fine("GET", f"/comparison?after={status['revision']}")
            assert status["state"] == "failed"
            assert "actual.pth" in status["error"]["message"]


def test_calls_that_came_too_late_are_told(runs):
    with browser(expected=runs[0], actual=(runs[1],)) as begin:
        tab = begin()
        first = until_ready(tab)["revision"]
        named = {"X-Outgrow-Revision": str(first)}
        assert tab.call("GET", "/rows/0", headers=named).status_code == 200
        second = tab.compare(exact=True)["revision"]
        assert tab.refused("GET", "/rows/0", headers=named)[:2] == (409, "gone")
        assert tab.call("GET", "/rows/0", headers={"X-Outgrow-Revision": str(second)}).status_code == 200
        assert tab.refused("GET", "/rows/0", headers={"X-Outgrow-Revision": "x"})[:2] == (400, "input")


def test_a_call_in_progress_reads_what_it_began_with_or_is_told(runs, monkeypatch):
    """A new comparison closes the old one: never under a call."""
    from outgrow.compare.comparison import Comparison
    from outgrow.compare.view import rows

    inside, release = threading.Event(), threading.Event()
    closed = []
    close, rows_of = Comparison.close, rows.rows_of

    def watched_close(comparison):
        closed.append(comparison)
        close(comparison)

    def slow(comparison):
        inside.set()
        release.wait(10)
        assert comparison not in closed
        return rows_of(comparison)

    monkeypatch.setattr(Comparison, "close", watched_close)
    monkeypatch.setattr(rows, "rows_of", slow)
    with browser(expected=runs[0], actual=(runs[1],)) as begin:
        tab = begin()
        until_ready(tab)
        tab.fine("POST", "/comparison", json={"exact": True})
        until_ready(tab)
        answers = []
        calling = threading.Thread(target=lambda: answers.append(tab.call("GET", "/rows")))
        calling.start()
        assert inside.wait(10)
        tab.fine("POST", "/comparison", json={})
        until_ready(tab)
        assert closed == []
        release.set()
        calling.join(10)
        assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (409, "gone")
        assert len(closed) == 1
        assert len(tab.fine("GET", "/rows")["expected"]) >= 1
