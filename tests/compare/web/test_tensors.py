"""Numbers of a row, as the page gets them."""

import asyncio
import gc
import json
import threading
import time

import numpy as np
import pytest
import torch

from outgrow.compare import view
from outgrow.compare.web import turns
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.turns import Turns
from tests.compare.web import own_loop
from tests.compare.view.two_runs import numbers, two_runs
from tests.compare.web.served import TOKEN, Tab, save, served
from tests.compare.web.serving import eventually


def spec(*fixed, **more):
    return {"fixed": list(fixed), **more}


@pytest.fixture(scope="module")
def runs():
    expected, actual = two_runs()
    expected["3_key"] = numbers(3, 4, 5)
    actual["3_key"] = expected["3_key"].permute(2, 0, 1).contiguous()
    actual["3_key"][4, 1, 2] += 7
    return expected, actual


@pytest.fixture(scope="module")
def tab(tmp_path_factory, runs):
    with served(tmp_path_factory.mktemp("served"), *runs) as tab:
        yield tab


def row_of(tab, name, side="expected"):
    return tab.get("/rows").json()[side].index(name)


def values(tab, name, body, side="expected"):
    answer = tab.post(f"/rows/{row_of(tab, name, side)}/values", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def picture(tab, name, body, side="expected"):
    answer = tab.post(f"/rows/{row_of(tab, name, side)}/tile", {"max_height": 64, "max_width": 64} | body)
    assert answer.status_code == 200, answer.text
    head = json.loads(answer.headers["X-Outgrow-Tile"])
    return np.frombuffer(answer.content, "<f4").reshape(head["height"], head["width"]), head


def test_values_of_an_aligned_pair_stand_side_by_side(tab, runs):
    expected, _ = runs
    window = spec(0, 0, 3, rows=0, columns=1)
    found = values(tab, "3_key", {"view": "aligned", "expected": window})
    wanted = expected["3_key"][:, :, 3]
    assert [float(text) for text in found["expected"]["text"]] == pytest.approx(wanted.flatten().tolist())
    assert found["actual"]["text"] == found["expected"]["text"]
    assert found["expected"]["index"][5] == "1,1,3"
    assert found["actual"]["index"][5] == "3,1,1"
    assert not any(found["differs"])
    far = values(tab, "3_key", {"expected": spec(0, 0, 4, rows=0, columns=1)})
    assert [place for place, differs in enumerate(far["differs"]) if differs] == [6]
    assert far["difference"][6] == pytest.approx(7, abs=1e-5)
    assert far["ulp"][6] > 1000


def test_values_in_their_own_shapes_have_windows_of_their_own(tab, runs):
    _, actual = runs
    body = {
        "view": "own",
        "expected": spec(0, 0, 4, rows=0, columns=1),
        "actual": spec(4, 0, 0, rows=1, columns=2),
    }
    found = values(tab, "3_key", body)
    assert found["actual"]["shape"] == [5, 3, 4]
    assert [place for place, differs in enumerate(found["differs"]) if differs] == [6]
    alone = values(tab, "3_key", {"view": "own", "actual": spec(4, 1, 2)})
    assert alone["expected"] is None
    assert alone["difference"] == []
    assert float(alone["actual"]["text"][0]) == pytest.approx(float(actual["3_key"][4, 1, 2]))


@pytest.mark.parametrize("key", ["expected", "actual"])
@pytest.mark.parametrize("view", ["aligned", "own"])
def test_a_tensor_of_one_side_is_looked_at_through_either_window(tab, runs, key, view):
    found = values(tab, "1_sliding", {"view": view, key: spec(0, columns=0)}, "actual")
    assert found["expected"] is None
    assert found["actual"]["text"] == ["1.0", "1.0"]
    found = values(tab, "1_query", {"view": view, key: spec(0, 0, columns=0)})
    assert found["actual"] is None
    assert len(found["expected"]["text"]) == 4
    pixels, _ = picture(
        tab, "1_query", {"view": view, key: spec(0, 0, rows=0, columns=1), "which": "expected"}
    )
    np.testing.assert_array_equal(pixels, runs[0]["1_query"].numpy())


def test_tiles_are_the_numbers_of_the_window(tab, runs):
    expected, actual = runs
    window = {"expected": spec(0, 0, 4, rows=1, columns=0)}
    for which, wanted in (
        ("expected", expected["3_key"][:, :, 4].t()),
        ("actual", actual["3_key"][4].t()),
        ("difference", (actual["3_key"][4] - expected["3_key"][:, :, 4]).t()),
    ):
        pixels, head = picture(tab, "3_key", {"which": which, **window})
        np.testing.assert_allclose(pixels, wanted.numpy(), rtol=1e-6)
        assert head["rows_per_pixel"] == head["columns_per_pixel"] == 1
        assert head["maximum"] == pytest.approx(float(wanted.max()))


def test_a_picture_of_what_is_not_there_is_refused(tab):
    row = row_of(tab, "1_query")
    for which in ("actual", "difference"):
        body = {"which": which, "expected": spec(0, 0), "max_height": 8, "max_width": 8}
        answer = tab.post(f"/rows/{row}/tile", body)
        assert answer.status_code == 400
        assert "no actual tensor" in answer.json()["error"]["message"]


def test_ranks_are_looked_at_one_by_one(tmp_path):
    whole = numbers(8, 6)
    paths = []
    for rank, part in enumerate(whole.split(4)):
        (tmp_path / str(rank)).mkdir()
        paths.append(save(tmp_path / str(rank), {"0_query": whole}, {"0_query": part.clone()}))
    with served(tmp_path, paths[0][0], [actual for _, actual in paths]) as tab:
        found = values(tab, "0_query", {"expected": spec(0, 0, rows=0, columns=1)})
        assert found["actual"]["rank"] == [0] * 24 + [1] * 24
        assert found["actual"]["index"][24] == "0,0"
        own = {"view": "own", "actual": spec(0, 0, columns=1, rank=1)}
        assert values(tab, "0_query", own)["actual"]["text"] == found["actual"]["text"][24:30]
        answer = tab.post("/rows/0/values", {"view": "own", "actual": spec(0, 0, rank=2)})
        assert answer.status_code == 400
        assert "rank is 2" in answer.json()["error"]["message"]


GOOD = {"expected": spec(0, 0, 0)}
WRONG = {
    "no object": b"[]",
    "no json": b"{",
    "too deep": b"[" * 100_000,
    "no window": {},
    "null window": {"expected": None},
    "text for a window": {"expected": "all"},
    "unknown key": GOOD | {"color": 1},
    "unknown key of a window": {"expected": spec(0, 0, 0, step=2)},
    "unknown view": GOOD | {"view": "theirs"},
    "view of another type": GOOD | {"view": ["own"]},
    "too few dims": {"expected": spec(0, 0)},
    "too many dims": {"expected": spec(*[0] * 4)},
    "index beyond": {"expected": spec(0, 0, 5)},
    "index below": {"expected": spec(0, 0, -1)},
    "index of another type": {"expected": spec(0, 0, 1.0)},
    "bool for an index": {"expected": spec(0, 0, True)},
    "dim beyond": {"expected": spec(0, 0, 0, rows=0, columns=3)},
    "dim twice": {"expected": spec(0, 0, 0, rows=1, columns=1)},
    "rank where there is one": {"expected": spec(0, 0, 0, rank=1)},
    "huge number": {"expected": spec(0, 0, 0, row0=10**30)},
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_a_wrong_window_is_refused_in_words(tab, body):
    row = row_of(tab, "3_key")
    answer = tab.post(f"/rows/{row}/values", body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] == "input"
    assert error["hint"]
    assert len(error["message"]) < 300


@pytest.mark.parametrize(
    "change",
    [
        {"which": "both"}, {"which": None}, {"which": ["expected"]}, {"max_height": 0}, {"max_width": "9"},
        {"max_height": True}, {"max_width": 10**9}, {"extra": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_picture_is_refused_in_words(tab, change):
    body = {"which": "expected", "expected": spec(0, 0, 0), "max_height": 8, "max_width": 8} | change
    answer = tab.post(f"/rows/{row_of(tab, '3_key')}/tile", body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["hint"]


def test_more_cells_than_people_read_are_refused(tmp_path):
    value = numbers(200, 200)
    with served(tmp_path, {"0_query": value}, {"0_query": value}) as tab:
        answer = tab.post("/rows/0/values", {"expected": spec(0, 0, rows=0, columns=1)})
        assert answer.status_code == 400
        assert "too large" in answer.json()["error"]["message"]


def test_rows_that_were_refused_have_no_numbers(tmp_path):
    for side in ("expected", "actual"):
        (tmp_path / side).mkdir()
        torch.save(numbers(8), tmp_path / side / "0_query.pth")
    (tmp_path / "actual" / "1_query.pth").write_bytes(b"cut short")
    with served(tmp_path, tmp_path / "expected", tmp_path / "actual") as tab:
        answer = tab.post("/rows/1/values", {"expected": spec(0, columns=0)})
        assert answer.status_code == 400
        assert "was refused" in answer.json()["error"]["message"]


def test_pairs_that_cannot_be_laid_out_are_looked_at_as_they_are(tmp_path):
    sides = {"0_query": numbers(4, 6)}, {"0_query": numbers(4, 5)}
    (tmp_path / "map.txt").write_text("0_query = 0_query\n")
    with served(tmp_path, *sides, name_map=tmp_path / "map.txt") as tab:
        answer = tab.post("/rows/0/values", {"expected": spec(0, 0)})
        assert answer.status_code == 400
        assert "cannot be laid out" in answer.json()["error"]["message"]
        body = {"view": "own", "expected": spec(0, 0, columns=1), "actual": spec(0, 0, columns=1)}
        found = values(tab, "0_query", body)
        assert (found["expected"]["width"], found["actual"]["width"]) == (6, 5)
        assert len(found["difference"]) == 5


def test_many_calls_at_once_get_their_own_answers(tab, runs):
    row, wanted = row_of(tab, "3_key"), runs[0]["3_key"]
    found = {}

    def ask(place):
        body = {
            "which": "expected",
            "expected": spec(0, 0, place % 5, rows=0, columns=1),
            "max_height": 8,
            "max_width": 8,
        }
        found[place] = np.frombuffer(tab.post(f"/rows/{row}/tile", body).content, "<f4").reshape(3, 4)

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place in range(20):
        np.testing.assert_array_equal(found[place], wanted[:, :, place % 5].numpy())


def ask(tab, name, call, body, side="expected"):
    answer = tab.post(f"/rows/{row_of(tab, name, side)}/{call}", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_largest_difference_is_found_in_both_stored_shapes(tab):
    found = ask(tab, "3_key", "find", {"what": "maximum"})
    assert found["index"] == found["expected_index"] == [1, 2, 4]
    assert found["actual_index"] == [4, 1, 2]
    assert found["actual_rank"] == 0


def test_the_largest_difference_is_that_of_a_search(tab):
    for name in ("2_query", "3_key", "0_query"):
        with served_comparison(tab) as comparison:
            found = comparison.findings[[f.pair.expected_name for f in comparison.findings].index(name)]
            searched = view.find_maximum(*view.aligned_sides(found)).as_json()
        assert ask(tab, name, "find", {"what": "maximum"}) == searched


def served_comparison(tab):
    return tab.app.state.sessions.find(tab.headers["X-Outgrow-Session"]).reading()


def test_a_search_goes_on_from_where_it_was(tab, runs):
    value = runs[0]["3_key"]
    wanted = [list(place) for place in torch.nonzero(value > 1).tolist()]
    assert len(wanted) > 3
    body = {"what": "range", "side": "expected", "low": 1, "count": True}
    seen, at = [], None
    for _ in wanted:
        found = ask(tab, "3_key", "find", body | {"from": at})
        assert not found["wrapped"]
        assert found["count"] == len(wanted)
        at = found["index"]
        seen.append(at)
    assert seen == wanted
    again = ask(tab, "3_key", "find", body | {"from": at})
    assert (again["index"], again["wrapped"]) == (wanted[0], True)
    back = ask(tab, "3_key", "find", body | {"from": wanted[1], "direction": -1})
    assert back["index"] == wanted[0]


def test_a_search_in_the_stored_shape_is_of_one_side(tab, runs):
    actual = runs[1]["3_key"]
    value = float(actual[4, 1, 2])
    found = ask(tab, "3_key", "find", {"what": "value", "low": value, "side": "actual", "view": "own"})
    assert found["index"] == found["actual_index"] == [4, 1, 2]
    answer = tab.post(f"/rows/{row_of(tab, '3_key')}/find", {"what": "nan", "view": "own"})
    assert answer.status_code == 400
    alone = ask(tab, "1_sliding", "find", {"what": "value", "low": "1", "count": True}, "actual")
    assert (alone["index"], alone["count"]) == ([0], 2)


def test_what_is_not_there_is_not_found(tab):
    found = ask(tab, "3_key", "find", {"what": "nan", "count": True})
    assert (found["index"], found["count"]) == (None, 0)


def test_histograms_count_windows_and_whole_tensors(tab, runs):
    whole = ask(tab, "3_key", "histogram", {"bins": 8})
    assert sum(whole["expected"]) == sum(whole["actual"]) == sum(whole["difference"]) == 60
    assert len(whole["edges"]) == 9
    part = ask(tab, "3_key", "histogram", {"bins": 4, "expected": spec(0, 0, 4, rows=0, columns=1)})
    counts, _ = np.histogram(runs[0]["3_key"][:, :, 4].numpy(), bins=np.array(part["edges"]))
    assert part["expected"] == counts.tolist()
    own = ask(tab, "3_key", "histogram", {"bins": 4, "view": "own"})
    assert sum(own["actual"]) == 60
    alone = ask(tab, "1_sliding", "histogram", {"bins": 2}, "actual")
    assert alone["expected"] is None
    assert sum(alone["actual"]) == 2


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("find", {}), ("find", {"what": "everything"}), ("find", {"what": "value"}),
        ("find", {"what": "value", "low": "x"}), ("find", {"what": "nan", "from": [0]}),
        ("find", {"what": "nan", "from": [0, 0, True]}), ("find", {"what": "nan", "from": "0"}),
        ("find", {"what": "nan", "from": [10**30, 0, 0]}), ("find", {"what": "nan", "direction": 2}),
        ("find", {"what": "nan", "direction": True}), ("find", {"what": "nan", "count": 1}),
        ("find", {"what": "nan", "side": "both"}), ("find", {"what": "range", "low": 2, "high": 1}),
        ("find", {"what": "nan", "rank": 1}), ("find", {"what": "nan", "extra": 1}),
        ("find", {"what": ["nan"]}), ("find", {"what": "nan", "side": []}),
        ("find", {"what": "x" * 10**5}), ("find", {"what": "value", "low": "1" * 10**5}),
        ("find", {"what": "nan", "side": "x" * 10**5}), ("find", {"what": "range", "low": [[1] * 10**4]}),
        ("histogram", {}), ("histogram", {"bins": 0}), ("histogram", {"bins": 10**9}),
        ("histogram", {"bins": 2.0}), ("histogram", {"bins": 2, "extra": 1}),
        ("histogram", {"bins": 2, "view": "own", "rank": 7}),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_a_wrong_search_or_histogram_is_refused_in_words(tab, call, body):
    answer = tab.post(f"/rows/{row_of(tab, '3_key')}/{call}", body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["hint"]
    assert len(answer.content) < 1000


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


def test_what_is_kept_of_a_comparison_goes_with_it(tmp_path):
    with served(tmp_path, *two_runs()) as tab:
        for _ in range(3):
            assert tab.post("/comparison", {}).status_code == 202
            tab.wait()
            values(tab, "2_key", {"expected": spec(0, 0)})
        assert eventually(lambda: gc.collect() >= 0 and len(tab.app.state.kept) == 1)


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
