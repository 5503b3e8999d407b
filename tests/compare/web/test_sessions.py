"""Tabs do not see each other, and are forgotten with all that they hold."""

import threading
import time

import pytest
import torch

from outgrow.compare.web.options import Options
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.roots import Roots
from outgrow.compare.web.sessions import Sessions
from tests.compare.web.browsing import bare_bytes, browser
from tests.compare.web.serving import nameless_files


def test_tabs_do_not_see_each_other():
    with browser() as begin:
        mine, yours = begin(), begin()
        assert mine.id != yours.id
        assert len(mine.id) >= 20
        item = mine.upload("expected", "mine.pth", bare_bytes(0))
        mine.upload("actual", "mine.pth", bare_bytes(0))
        assert mine.compare()["state"] == "ready"
        assert "mine" not in str(yours.fine("GET", "/session"))
        assert yours.fine("GET", "/comparison")["state"] == "empty"
        for path in ("/verdict", "/rows", "/rows/0", "/report.html", "/report.json"):
            assert yours.refused("GET", path)[:2] == (409, "not-ready")
        assert yours.refused("DELETE", f"/sides/expected/{item['id']}")[:2] == (404, "item")
        assert yours.refused("PUT", "/sides/expected", json={"items": [item["id"]]})[:2] == (409, "items")
        yours.fine("DELETE", "/comparison")
        yours.fine("DELETE", "/session")
        assert mine.fine("GET", "/verdict")["verdict"] == "match"


@pytest.mark.parametrize("name", ["", "x", "../", "0" * 9999, "é"])
def test_a_tab_that_nobody_knows_is_told(name):
    with browser() as begin:
        tab = begin()
        tab.headers["X-Outgrow-Session"] = name.encode()
        for method, path in (("GET", "/session"), ("GET", "/comparison"), ("POST", "/sides/actual/uploads")):
            assert tab.refused(method, path)[:2] == (404, "session")


def test_a_tab_that_has_ended_is_gone_with_what_it_held():
    before = nameless_files()
    with browser() as begin:
        tab = begin()
        tab.upload("expected", "x.pth", bare_bytes(0))
        tab.upload("actual", "x.pth", bare_bytes(1))
        tab.compare()
        assert len(nameless_files()) == len(before) + 2
        tab.fine("DELETE", "/session")
        assert nameless_files() == before
        assert tab.refused("GET", "/session")[:2] == (404, "session")
        tab.headers.pop("X-Outgrow-Session")
        assert tab.fine("GET", "/session")["session"] != tab.id


def test_the_end_of_the_server_ends_all():
    before = nameless_files()
    with browser() as begin:
        for tab in [begin() for _ in range(3)]:
            tab.upload("expected", "x.pth", bare_bytes(0))
            tab.upload("actual", "x.pth", bare_bytes(1))
            tab.fine("POST", "/comparison", json={})
        assert len(nameless_files()) == len(before) + 6
    until = time.monotonic() + 5
    while nameless_files() != before or any(t.name == "outgrow-compare" for t in threading.enumerate()):
        assert time.monotonic() < until, nameless_files()
        time.sleep(0.01)


def make(**options):
    return Sessions(Options(**options), Roots([]))


def test_tabs_that_were_idle_for_too_long_are_forgotten(monkeypatch):
    sessions = make(idle_seconds=100)
    old, new = sessions.begin(), sessions.begin()
    old._used -= 200
    new._used -= 50
    sessions.sweep()
    assert sessions.find(new.id) is new
    with pytest.raises(ApiError, match="not known"):
        sessions.find(old.id)
    with pytest.raises(ApiError, match="not known"):
        old.compare({})
    sessions.close()


def test_a_tab_that_was_closed_is_forgotten_soon_unless_it_calls_again():
    sessions = make(idle_seconds=100_000)
    closed, reloaded, waiting = (sessions.begin() for _ in range(3))
    for tab in (closed, reloaded):
        tab.leave()
    sessions.find(reloaded.id)
    for tab in (closed, reloaded, waiting):
        tab._used -= 599
    sessions.sweep()
    assert sessions.find(closed.id) is closed
    closed.leave()
    for tab in (closed, reloaded, waiting):
        tab._used -= 601
    sessions.sweep()
    assert list(sessions._sessions) == [reloaded.id, waiting.id]
    sessions.close()


def test_a_tab_that_was_closed_makes_room_before_those_that_are_open():
    sessions = make(max_sessions=3)
    tabs = [sessions.begin() for _ in range(3)]
    for tab in tabs:
        tab.swap()
    tabs[0]._used -= 50
    tabs[1].leave()
    sessions.begin()
    assert [tab for tab in tabs if tab.id in sessions._sessions] == [tabs[0], tabs[2]]
    sessions.close()


def test_every_call_keeps_a_tab_alive():
    sessions = make(idle_seconds=100)
    session = sessions.begin()
    session._used -= 200
    sessions.find(session.id)
    sessions.sweep()
    assert sessions.find(session.id) is session
    sessions.close()


def test_the_tab_that_was_idle_longest_makes_room():
    sessions = make(max_sessions=3)
    tabs = [sessions.begin() for _ in range(3)]
    for tab in tabs:
        tab.swap()  # so that it has something of its own
    with pytest.raises(ApiError) as caught:
        sessions.begin()
    assert (caught.value.status, caught.value.code) == (503, "sessions")
    tabs[1]._used -= 70
    tabs[2]._used -= 90
    sessions.begin()
    assert [tab for tab in tabs if tab.id in sessions._sessions] == tabs[:2]
    sessions.close()


def test_a_tab_with_nothing_of_its_own_makes_room_at_once():
    sessions = make(max_sessions=3)
    tabs = [sessions.begin() for _ in range(3)]
    assert all(tab.is_bare for tab in tabs)
    tabs[0]._used -= 50
    tabs[0].swap()
    tabs[2].swap()
    sessions.begin()
    assert [tab for tab in tabs if tab.id in sessions._sessions] == [tabs[0], tabs[2]]
    sessions.close()


def test_ten_tabs_at_once():
    before = nameless_files()
    with browser() as begin:
        problems = []

        def use(seed):
            try:
                tab = begin()
                for _ in range(3):
                    for side in ("expected", "actual"):
                        for item in tab.fine("GET", "/session")["sides"][side]:
                            tab.fine("DELETE", f"/sides/{side}/{item['id']}")
                    tab.upload("expected", f"{seed}.pth", bare_bytes(seed))
                    tab.upload("actual", f"{seed}.pth", bare_bytes(seed + seed % 2))
                    tab.compare()
                    found = tab.fine("GET", "/verdict")
                    assert found["expected"] == f"{seed}.pth"
                    assert found["verdict"] == ("differ" if seed % 2 else "match")
                tab.fine("DELETE", "/session")
            except BaseException as err:
                problems.append(err)
                raise

        threads = [threading.Thread(target=use, args=[seed]) for seed in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert problems == []
    assert nameless_files() == before


def test_a_map_stays_as_long_as_both_sides_do(tmp_path):
    from safetensors.torch import save

    def content(*names):
        return save({name: torch.full((2, 2), index + 1.0) for index, name in enumerate(names)})

    with browser() as begin:
        tab = begin()
        tab.upload("expected", "x.safetensors", content("first", "second"))
        tab.upload("actual", "x.safetensors", content("one", "two"))
        tab.compare()
        rules = [{"expected": "second", "actual": "two", "layout": None}]
        status = tab.fine("PUT", "/mapping", json={"rules": rules})
        while status["state"] in ("opening", "comparing"):
            status = tab.fine("GET", f"/comparison?after={status['revision']}")
        assert status["state"] == "ready", status

        def mapped():
            return [rule["expected"] for rule in tab.fine("GET", "/mapping")["rules"]]

        assert mapped() == ["second"]
        assert tab.compare(exact=True)["state"] == "ready"
        assert mapped() == ["second"]
        tab.upload("actual", "y.safetensors", content("three"))
        assert tab.compare()["state"] == "ready"
        assert mapped() == []


def test_idle_tabs_are_swept_while_nobody_calls(monkeypatch):
    from outgrow.compare.web import app

    monkeypatch.setattr(app, "_SWEEP_SECONDS", 0.02)
    before = nameless_files()
    with browser(idle_seconds=0.2) as begin:
        tab = begin()
        tab.upload("actual", "x", b"x")
        assert len(nameless_files()) == len(before) + 1
        until = time.monotonic() + 10
        while nameless_files() != before:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert tab.refused("GET", "/session")[:2] == (404, "session")
