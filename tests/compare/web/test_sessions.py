"""Tabs do not see each other, and are forgotten with all that they hold."""

import threading
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outgrow.compare.web.options import Options
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.roots import Roots
from outgrow.compare.web.sessions import Sessions
from tests.compare.web.browsing import Tab, bare_bytes, browser
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


def test_ten_tabs_at_once(runs):
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


NAMES = ("0_query.pth", "1_query.pth", "rank0.pth", "rank1.pth", "x.zip", "x", "run/a.pth")
CONTENTS = (bare_bytes(0), bare_bytes(1), bare_bytes(0)[:-9], b"nonsense", b"")
SIDE = st.sampled_from(["expected", "actual"])
STEP = st.one_of(
    st.tuples(st.just("upload"), SIDE, st.sampled_from(NAMES), st.integers(0, len(CONTENTS) - 1)),
    st.tuples(st.just("remove"), SIDE, st.integers(0, 3)),
    st.tuples(st.just("arrange"), SIDE, st.sampled_from(["auto", "ranks", "parts"]), st.booleans()),
    st.tuples(st.just("swap")),
    st.tuples(st.just("compare"), st.booleans(), st.booleans()),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("look")),
    st.tuples(st.just("map")),
    st.tuples(st.just("end")),
)


def take_step(begin, tabs, which, step):
    """Take one; whatever is answered must be an answer or a calm refusal, and of this tab alone."""
    tab = tabs[which]

    def call(method, path, **options):
        answer = tab.call(method, path, **options)
        assert answer.status_code < 500, (step, answer.text)
        assert "Traceback" not in answer.text
        assert "/proc/" not in answer.text
        return answer

    match step:
        case ("upload", side, name, content):
            shown = f"tab{which}-{name}"
            call("POST", f"/sides/{side}/uploads", params={"name": shown}, content=CONTENTS[content])
        case ("remove", side, index):
            items = tab.fine("GET", "/session")["sides"][side]
            call("DELETE", f"/sides/{side}/{items[index]['id'] if index < len(items) else 'x'}")
        case ("arrange", side, kind, is_reversed):
            items = [item["id"] for item in tab.fine("GET", "/session")["sides"][side]]
            call("PUT", f"/sides/{side}", json={"items": items[:: -1 if is_reversed else 1], "as": kind})
        case ("swap",):
            call("POST", "/sides/swap")
        case ("compare", exact, waits):
            answer = call("POST", "/comparison", json={"exact": exact})
            while waits and answer.json().get("state") in ("opening", "comparing"):
                answer = call("GET", f"/comparison?after={answer.json()['revision']}")
        case ("cancel",):
            call("DELETE", "/comparison")
        case ("look",):
            for path in ("/session", "/verdict", "/rows", "/rows/0", "/mapping", "/report.json"):
                assert f"tab{1 - which}" not in call("GET", path).text
        case ("map",):
            call("PUT", "/mapping", json={"rules": []})
        case ("end",):
            call("DELETE", "/session")
            tabs[which] = begin()


@pytest.fixture(scope="module")
def begin():
    with browser() as begin:
        yield begin


@settings(max_examples=25)
@given(steps=st.lists(st.tuples(st.integers(0, 1), STEP), max_size=14))
def test_any_calls_in_any_order_are_answered_calmly(begin, steps):
    before = nameless_files()
    tabs = [begin(), begin()]
    for which, step in steps:
        take_step(begin, tabs, which, step)
    for tab in tabs:
        tab.fine("DELETE", "/session")
    until = time.monotonic() + 10
    while nameless_files() != before:
        assert time.monotonic() < until, nameless_files()
        time.sleep(0.005)
