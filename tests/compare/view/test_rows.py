import json
import math

import pytest
import torch

from outgrow.compare.view.listing import Listing
from outgrow.compare.view.rows import STATUSES, rows_of
from outgrow.errors import InputError
from tests.compare.view.two_runs import made, numbers


def column(rows, name, table):
    return [rows[table][number] for number in rows[name]]


def test_rows_stand_in_layer_and_stage_order_with_those_of_one_side_among_them():
    with made() as comparison:
        rows = rows_of(comparison)
    assert rows["expected"] == [
        "0_query", "0_key", "0_post_mlp", "1_query", "1_key", None, "1_post_mlp", "2_query", "2_key",
        "2_post_mlp",
    ]  # fmt: skip
    assert rows["actual"] == [
        "0_query", "0_key", "0_post_mlp", None, "1_key", "1_sliding", "1_post_mlp", "2_query", "2_key",
        "2_post_mlp",
    ]  # fmt: skip
    assert [STATUSES[number] for number in rows["status"]] == [
        "ok", "ok", "ok", "only expected", "ok", "only actual", "ok", "differs", "ok", "healed",
    ]  # fmt: skip
    assert rows["layer"] == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert column(rows, "stage", "stages")[3:7] == ["query", "key", "sliding", "post_mlp"]
    assert column(rows, "shape", "shapes")[4:7] == ["[4, 6]", "[2]", "[4, 6]"]
    assert rows["order"] == [0, 1, 2, None, 3, None, 4, 5, 6, 7]
    assert rows["error"][3] is None
    assert rows["max_abs"][7] == pytest.approx(1.0)


def test_all_columns_are_of_one_length():
    with made() as comparison:
        rows = rows_of(comparison)
    lengths = {len(value) for name, value in rows.items() if isinstance(value, list) and name[-1:] != "s"}
    assert lengths == {rows["count"]} == {10}
    assert len(rows["status"]) == 10


def test_rows_without_any_pair_are_an_answer_too():
    with (
        made({}, {})
        if False
        else made({"a": numbers(2)}, {"b_thing": numbers(3), "c": numbers(5)}) as comparison
    ):
        rows = rows_of(comparison)
    assert rows["count"] == 3
    assert sorted(rows["status"]) == [4, 5, 5]


def test_numbers_that_are_not_finite_are_texts_and_all_is_json():
    value = numbers(40)
    broken = value.clone()
    broken[3] = math.nan
    with made({"0_query": value, "1_query": value}, {"0_query": value, "1_query": broken}) as comparison:
        rows = rows_of(comparison)
    assert rows["error"] == [0.0, "inf"]
    assert rows["max_abs"] == [0.0, "inf"]
    json.dumps(rows, allow_nan=False)


def test_names_that_no_terminal_should_print_are_written_out():
    name = "0_query\x1b[31m\u202e\udc80"
    with made({name: numbers(4)}, {name: numbers(4), "only\n": numbers(2)}) as comparison:
        rows = rows_of(comparison)
    assert rows["expected"][0] == "0_query\\x1b[31m\\u202e\\udc80"
    assert "only\\n" in rows["actual"]
    json.dumps(rows, ensure_ascii=False).encode()


def test_both_names_of_a_pair_are_written_out():
    with made({"one\x1b": numbers(4)}, {"other\x07": numbers(4)}) as comparison:
        rows = rows_of(comparison)
    assert (rows["expected"], rows["actual"]) == (["one\\x1b"], ["other\\x07"])


def test_what_was_refused_is_a_row(tmp_path):
    for side in ("expected", "actual"):
        (tmp_path / side).mkdir()
        for layer in range(3):
            torch.save(numbers(8), tmp_path / side / f"{layer}_query.pth")
    (tmp_path / "actual" / "1_query.pth").write_bytes(b"cut short")
    with made(tmp_path / "expected", tmp_path / "actual") as comparison:
        rows = rows_of(comparison)
    assert rows["expected"] == ["0_query", "1_query", None, "2_query"]
    assert rows["actual"] == ["0_query", None, "1_query.pth", "2_query"]
    assert rows["status"] == [0, 4, 6, 0]
    assert rows["layer"] == [0, 1, 1, 2]
    assert column(rows, "dtype", "dtypes")[2] == column(rows, "shape", "shapes")[2] == ""


def test_a_row_is_found_by_its_number_and_its_number_by_its_finding():
    with made() as comparison:
        listing = Listing(comparison)
        entries = list(listing)
        assert len(entries) == len(listing) == 10
        assert [listing[row] for row in range(10)] == entries
        for index, finding in enumerate(comparison.findings):
            assert listing[listing.row_of(index)] is finding
        for row in (-1, 10):
            with pytest.raises(InputError, match="there is no row"):
                listing[row]
