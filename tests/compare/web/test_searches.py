"""Searches and histograms of a row, as the page gets them."""

import numpy as np
import pytest
import torch

from outgrow.compare import view
from tests.compare.web.served import served
from tests.compare.web.tensor_calls import permuted_runs, row_of, spec


@pytest.fixture(scope="module")
def runs():
    return permuted_runs()


@pytest.fixture(scope="module")
def tab(tmp_path_factory, runs):
    with served(tmp_path_factory.mktemp("served"), *runs) as tab:
        yield tab


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
