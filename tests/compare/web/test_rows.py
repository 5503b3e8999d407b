"""The verdict, the list and its details, as the page gets them."""

import contextlib
import http.client
import time

import pytest

from outgrow.compare.view.rows import rows_of
from tests.compare.view.two_runs import numbers, two_runs
from tests.compare.web.served import Tab, served
from tests.compare.web.serving import serving


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with served(tmp_path_factory.mktemp("served"), *two_runs()) as tab:
        yield tab


def test_the_verdict_points_at_rows(tab):
    verdict, rows = tab.get("/verdict").json(), tab.get("/rows").json()
    assert rows["expected"][verdict["first"]] == "2_query"
    assert verdict["rows"] == rows["count"] == 10


def test_a_row_of_the_list_is_the_row_of_its_detail(tab):
    rows = tab.get("/rows").json()
    for row in range(rows["count"]):
        detail = tab.get(f"/rows/{row}").json()
        assert detail["row"] == row
        assert (detail["expected"] or {}).get("name") == rows["expected"][row]
        assert ([side["name"] for side in detail["actual"]] or [None])[0] == rows["actual"][row]


@pytest.mark.parametrize("row", ["10", "99999999999", "-1", "x", "1e3", "%31x", "0x1", "1" * 40])
def test_what_is_no_row_is_refused(tab, row):
    answer = tab.get(f"/rows/{row}")
    assert answer.status_code == 400
    assert answer.json()["error"]["hint"]


def test_nothing_is_said_before_anything_is_compared(tmp_path):
    with served(tmp_path, *two_runs()) as tab:
        app_tab = Tab(tab._client)
        assert app_tab.get("/verdict").status_code == 200
        tab.app.state.sessions.end(tab.app.state.sessions.find(app_tab.headers["X-Outgrow-Session"]))
        for path in ("/verdict", "/rows", "/rows/0"):
            assert app_tab.get(path).status_code == 404


def test_names_are_printable(tmp_path):
    name = "0_query\x1b]0;gone\x07\u202e"
    with served(tmp_path, {name: numbers(4)}, {name: numbers(4)}) as tab:
        for path in ("/verdict", "/rows", "/rows/0"):
            text = tab.get(path).text
            assert "\x1b" not in text
            assert "\u202e" not in text
            assert "\\u001b" not in text
        assert tab.get("/rows").json()["expected"] == ["0_query\\x1b]0;gone\\x07\\u202e"]


def test_statistics_of_a_tensor_without_partner(tab):
    rows = tab.get("/rows").json()
    row = rows["expected"].index("1_query")
    wanted = two_runs()[0]["1_query"].double()
    (found,) = (answer := tab.get(f"/rows/{row}/statistics").json())["expected"]
    assert answer["actual"] == []
    assert found["mean"] == pytest.approx(float(wanted.mean()))
    assert found["std"] == pytest.approx(float(wanted.std(correction=0)))
    assert (found["minimum"], found["maximum"]) == (float(wanted.min()), float(wanted.max()))
    assert (found["nan"], found["inf"], found["first_nan"]) == (0, 0, None)
    both = tab.get(f"/rows/{rows['expected'].index('2_key')}/statistics").json()
    assert len(both["expected"]) == len(both["actual"]) == 1
    assert tab.get("/rows/99/statistics").status_code == 400


def test_small_answers_are_sent_at_once(tmp_path):
    """Not when the one before was acknowledged, 40 ms later."""
    with serving(tmp_path) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        seconds = []
        with contextlib.closing(connection):
            for _ in range(40):
                started = time.perf_counter()
                connection.request(
                    "GET", "/api/session", headers={"Authorization": f"Bearer {server.token}x"}
                )
                assert connection.getresponse().read()
                seconds.append(time.perf_counter() - started)
    assert sorted(seconds)[10] < 0.03


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_listed_within_a_second(monkeypatch):
    from outgrow.compare.view import listing as module
    from tests.compare.view.two_runs import made

    expected = {f"model.layers.{index}.mlp.experts.0.up_proj.weight": numbers(2) for index in range(50)}
    with made(expected, expected) as comparison:
        findings = comparison.findings * 2000
        monkeypatch.setattr(module.Listing, "__iter__", lambda _: iter(findings))
        started = time.perf_counter()
        assert rows_of(comparison)["count"] == 100_000
        assert time.perf_counter() - started < 1.0
