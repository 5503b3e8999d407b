"""Numbers of a row, as the page gets them."""

import gc
import json
import threading

import numpy as np
import pytest
import torch

from tests.compare.view.two_runs import numbers, two_runs
from tests.compare.web.served import save, served
from tests.compare.web.serving import eventually
from tests.compare.web.tensor_calls import permuted_runs, row_of, spec, values


@pytest.fixture(scope="module")
def runs():
    return permuted_runs()


@pytest.fixture(scope="module")
def tab(tmp_path_factory, runs):
    with served(tmp_path_factory.mktemp("served"), *runs) as tab:
        yield tab


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


def test_what_is_kept_of_a_comparison_goes_with_it(tmp_path):
    with served(tmp_path, *two_runs()) as tab:
        for _ in range(3):
            assert tab.post("/comparison", {}).status_code == 202
            tab.wait()
            values(tab, "2_key", {"expected": spec(0, 0)})
        assert eventually(lambda: gc.collect() >= 0 and len(tab.app.state.kept) == 1)
