"""Any calls of two tabs in any order are answered calmly."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compare.web.browsing import bare_bytes, browser
from tests.compare.web.serving import nameless_files

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
