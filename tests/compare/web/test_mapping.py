"""Names and layouts by hand, through the page's calls: compared anew, checked, and saved."""

import json

import pytest
import torch

from outgrow.compare import compare
from outgrow.compare.names.entity import collect
from outgrow.compare.report import FORMATS
from outgrow.compare.view import mapping
from tests.compare.web.served import served

FLAGSHIP = "permute(1, 0, 2), unsqueeze(0)"


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def runs():
    """Heads first in the actual run; in layer 1 the query is called `other`; odd names on both sides."""
    expected = {f"{layer}_query": numbers(1, 4, 6, 8, seed=layer) for layer in range(3)}
    actual = {
        f"{layer}_query": tensor[0].permute(1, 0, 2).contiguous()
        for layer, tensor in enumerate(expected.values())
    }
    actual["other"] = actual.pop("1_query")
    expected |= {"odd = \x1b*": numbers(4), "square": numbers(4, 4, seed=9)}
    actual |= {"odd : #": expected["odd = \x1b*"], "square": numbers(4, 4, seed=9).T.contiguous()}
    return expected, actual


@pytest.fixture
def tab(tmp_path):
    with served(tmp_path, *runs()) as tab:
        yield tab


def put(tab, *rules):
    return tab._client.put("/api/mapping", headers=tab.headers, json={"rules": list(rules)})


def rule(expected, actual, layout=None):
    return {"expected": expected, "actual": actual, "layout": layout}


def statuses(tab):
    rows = tab.get("/rows").json()
    return {
        (expected, actual): status
        for expected, actual, status in zip(rows["expected"], rows["actual"], rows["status"], strict=True)
    }


def test_a_rule_changes_the_verdict_and_taking_it_away_brings_it_back(tab):
    before = tab.get("/verdict").json()
    assert tab.get("/mapping").json() == {"rules": [], "text": ""}
    answer = put(tab, rule("1_query", "other"), rule("square", "square", "transpose(0, 1)"))
    assert answer.status_code == 202
    assert answer.json()["revision"] > 0
    after = tab.wait().get("/verdict").json()
    assert (before["verdict"], after["verdict"]) == ("differ", "match")
    assert statuses(tab)["1_query", "other"] == 0
    assert tab.get("/mapping").json()["text"] == "1_query = other\nsquare = square : transpose(0, 1)\n"
    assert put(tab).status_code == 202
    assert tab.wait().get("/verdict").json() == before


def test_a_saved_mapping_gives_the_command_line_the_very_same_result(tab, tmp_path):
    put(tab, rule("1_query", "other"), rule("{layer}_query", "{layer}_query", FLAGSHIP), rule("square", "-"))
    report = tab.wait().get("/report.json").json()
    for whole in ("false", "true"):
        text = tab.get(f"/mapping?whole={whole}").json()["text"]
        (tmp_path / "saved.map").write_text(text)
        sides = {side: tmp_path / f"{side}.safetensors" for side in ("expected", "actual")}
        with compare(**sides, name_map=tmp_path / "saved.map") as comparison:
            again = json.loads(FORMATS["json"](comparison))
        assert again["verdict"] == report["verdict"]
        assert [strip(row) for row in again["findings"]] == [strip(row) for row in report["findings"]]
        if whole == "false":
            assert {**again, "expected": 0, "actual": 0} == {**report, "expected": 0, "actual": 0}


def strip(row):
    """Without the words on how it came to be paired and laid out."""
    words = ("matched_by", "note", "layout_reason")
    return {key: value for key, value in row.items() if key not in words}


def test_names_that_cannot_be_printed_are_found_as_they_were_shown(tab):
    rows = tab.get("/rows").json()
    odd = next(name for name in rows["expected"] if name and name.startswith("odd"))
    assert odd == "odd = \\x1b*"
    assert put(tab, rule(json.dumps(odd), json.dumps("odd : #"))).status_code == 202
    assert statuses(tab.wait())[odd, "odd : #"] == 0
    content = tab.get("/mapping")
    assert "\\u001b" not in content.text.replace("\\\\u001b", "")
    (shown,) = content.json()["rules"]
    assert put(tab, shown).status_code == 202
    assert statuses(tab.wait())[odd, "odd : #"] == 0


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([rule("nobody", "other")], "has nothing that"),
        ([rule("0_query", "0_query", "permute(0, 1)")], "permute takes"),
        ([rule("0_query", "other"), rule("1_query", "other")], "two rules"),
        ([rule("0_query", "other"), rule("0_query", "other")], "there twice"),
        ([rule(None, None)], "without a name"),
        ([rule("a = {layer}", "b {layer}")], "cannot be written"),
        ([rule("square", "square", "repeat(0, 99999999); expected: repeat(0, 99999999)")], "larger than"),
        ([rule(3, "a")], "no text"),
        (["x"], "no object"),
        ("x", "no list"),
        (None, "no list"),
        ([rule("a" * 20_000, "b")], "no text"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(tab, rules, message):
    before = tab.get("/verdict").json(), tab.get("/comparison").json()
    answer = tab._client.put("/api/mapping", headers=tab.headers, json={"rules": rules})
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
    assert answer.json()["error"]["hint"]
    assert (tab.get("/verdict").json(), tab.get("/comparison").json()) == before


def check(tab, **body):
    answer = tab.post("/mapping/check", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_check_says_what_a_layout_makes(tab):
    found = check(tab, expected="1_query", actual="other", layout=FLAGSHIP)
    assert (found["ok"], found["shape"], found["layout"]) == (True, [1, 4, 6, 8], FLAGSHIP)
    assert [step["name"] for step in found["steps"]] == ["", "permute(1, 0, 2)", "unsqueeze(0)", ""]
    assert found["common"][0] == {"name": "heads first", "layout": FLAGSHIP}
    assert found["for_all_layers"] is None
    assert (found["pieces"], found["order"]) == ([[6], [4], [8]], [[], [1], [0], [2]])
    found = check(tab, expected="0_query", actual="2_query", layout="permute(0, 1, 2)")
    assert (found["ok"], found["shape"]) == (False, [6, 4, 8])
    assert found["for_all_layers"] == {"expected": "{layer}_query", "actual": "{layer+2}_query"}
    found = check(tab, expected="0_query", actual="0_query", layout="turn(1)")
    assert (found["ok"], found["shape"], found["steps"]) == (False, None, [])
    assert "there is no 'turn'" in found["message"]
    assert check(tab, expected="0_query", actual="square", layout=None)["ok"]


def test_a_layout_that_is_no_text_is_told_as_it_can_be_sent(tab):
    body = b'{"expected": "0_query", "actual": "0_query", "layout": "turn(\\ud800)"}'
    found = tab.post("/mapping/check", body)
    assert (found.status_code, found.json()["ok"]) == (200, False)
    assert "\\ud800" in found.json()["layout"]


def test_names_are_collected_once_for_all_rules(tab, monkeypatch):
    collected = []

    def counted(recordings):
        collected.append(recordings)
        return collect(recordings)

    monkeypatch.setattr(mapping, "collect", counted)
    rules = [rule(f"none\\x{number:02x}", "other") for number in range(50)]
    answer = tab._client.put("/api/mapping", headers=tab.headers, json={"rules": rules})
    assert answer.status_code == 400
    assert len(collected) == 2


def test_dims_by_hand_become_a_layout(tab):
    body = {"expected": "1_query", "actual": "other", "layout": None, "pieces": [[6], [4], [8]]}
    found = check(tab, **body, order=[[], [1], [0], [2]])
    assert (found["ok"], found["layout"]) == (True, FLAGSHIP)
    found = check(tab, **body, order=[[], [0], [1], [2]])
    assert not found["ok"]
    assert "[1, 6, 4, 8]" in found["message"]
    assert "lists of lists" in check(tab, **body, order="x")["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"expected": "0_query"},
        {"expected": "{layer}_query", "actual": "{layer}_query"},
        {"expected": "nobody", "actual": "other"},
        {"expected": "0_query", "actual": "-"},
        {"expected": ["0_query"], "actual": "other"},
    ],
)
def test_a_check_of_nothing_is_refused(tab, body):
    answer = tab.post("/mapping/check", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["hint"]


def test_ranks_have_to_be_put_together_first(tmp_path):
    from safetensors.torch import save_file

    whole = numbers(4, 6, 8)
    save_file({"0_query": whole}, tmp_path / "e.safetensors")
    paths = [tmp_path / f"{rank}.safetensors" for rank in range(2)]
    for path, part in zip(paths, whole.permute(1, 0, 2).chunk(2), strict=True):
        save_file({"0_query": part.contiguous()}, path)
    with served(tmp_path, tmp_path / "e.safetensors", paths) as tab:
        body = {
            "expected": "0_query",
            "actual": "0_query",
            "pieces": [[6], [4], [8]],
            "order": [[1], [0], [2]],
        }
        assert "how the ranks make one tensor" in check(tab, **body)["message"]
        found = check(tab, **body, layout="concatenate(0)")
        assert (found["ok"], found["layout"]) == (True, "concatenate(0), permute(1, 0, 2)")
        assert found["actual_shapes"] == [[3, 4, 8]] * 2
        assert (found["pieces"], found["order"]) == (body["pieces"], body["order"])


def test_the_detail_has_the_text_and_the_picture_of_its_layout(tab):
    layout = tab.get("/rows/0").json()["layout"]
    assert (layout["hint"], layout["is_given"]) == (FLAGSHIP, False)
    assert layout["steps"][-2] == {
        "side": "actual", "name": "unsqueeze(0)", "shape": [1, 4, 6, 8], "dims": [[], [0], [1], [2]],
    }  # fmt: skip
    put(tab, rule("0_query", "0_query", layout["hint"]))
    given = tab.wait().get("/rows/0").json()["layout"]
    assert (given["hint"], given["is_given"], given["steps"]) == (FLAGSHIP, True, layout["steps"])
