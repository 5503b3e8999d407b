import json

import torch

from outgrow.compare.view.rows import STATUSES, rows_of
from outgrow.compare.view.verdict import verdict_of
from tests.compare.view.two_runs import made, numbers


def test_its_rows_are_those_of_the_list():
    with made() as comparison:
        verdict, rows = verdict_of(comparison), rows_of(comparison)
    assert verdict["verdict"] == "differ"
    assert rows["expected"][verdict["first"]] == "2_query"
    assert rows["expected"][verdict["healed"]] == "2_post_mlp"
    assert verdict["rows"] == rows["count"]


def test_every_row_is_counted_once():
    with made() as comparison:
        verdict, rows = verdict_of(comparison), rows_of(comparison)
    assert verdict["counts"] == {
        status: rows["status"].count(number)
        for number, status in enumerate(STATUSES)
        if number in rows["status"]
    }
    assert sum(verdict["counts"].values()) == rows["count"]
    assert (verdict["unpaired_expected"], verdict["unpaired_actual"]) == (1, 1)


def test_diagnoses_name_their_row_behind_tensors_without_partner():
    value = {f"{layer}_query": numbers(64, 64, seed=layer) for layer in range(4)}
    actual = {name: tensor.clone() for name, tensor in value.items()}
    actual["3_query"] *= 0.125
    value["0_alone"] = numbers(3)
    with made(value, actual) as comparison:
        verdict, rows = verdict_of(comparison), rows_of(comparison)
    assert verdict["diagnoses"]
    for found in verdict["diagnoses"]:
        assert rows["expected"][found["row"]] == found["at"] == "3_query"
    assert rows["expected"].index("0_alone") < rows["expected"].index("3_query")


def test_what_was_refused_is_counted_and_told(tmp_path):
    for side in ("expected", "actual"):
        (tmp_path / side).mkdir()
        torch.save(numbers(8), tmp_path / side / "0_query.pth")
        (tmp_path / side / "1_query.pth").write_bytes(b"cut short")
    with made(tmp_path / "expected", tmp_path / "actual") as comparison:
        verdict = verdict_of(comparison)
    assert verdict["counts"] == {"ok": 1, "refused": 1}
    assert verdict["refused_count"] == 1
    assert verdict["refused"][0]["entry"] == "1_query.pth"


def test_texts_out_of_files_are_printable_and_all_is_json():
    names = ["0_query\x1b[31m", "1_query\udc80"]
    value = {name: numbers(64, seed=at) for at, name in enumerate(names)}
    with made(value, {name: tensor + 1 for name, tensor in value.items()}) as comparison:
        text = json.dumps(verdict_of(comparison), ensure_ascii=False, allow_nan=False)
    assert text.encode()
    assert text.isprintable()
