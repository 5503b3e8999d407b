import json
import math

import pytest
import torch

from outgrow.compare import Rules
from outgrow.compare.view.detail import detail_of
from outgrow.compare.view.rows import rows_of
from outgrow.errors import InputError
from tests.compare.view.two_runs import made, numbers


def detail(comparison, name, side="expected"):
    return detail_of(comparison, rows_of(comparison)[side].index(name))


def test_a_pair_tells_both_sides_and_why_it_was_judged_so():
    with made() as comparison:
        found = detail(comparison, "2_query")
    assert found["row"] == 7
    assert found["status"] == "differs"
    assert found["expected"] == {
        "name": "2_query", "dtype": "float32", "shape": [4, 6], "rank": 0, "elements": 24, "bytes": 96,
        "kind": "tensor",
    }  # fmt: skip
    assert [side["name"] for side in found["actual"]] == ["2_query"]
    assert found["evidence"] == "jump"
    assert 0 < found["allowed"] < found["measures"]["relative_error"]
    assert found["tolerance"] is None
    assert found["matched_by"] == "identical"


def test_the_largest_difference_is_told_in_both_stored_shapes():
    expected, actual = numbers(4, 6), numbers(4, 6).t().contiguous()
    actual[5, 2] += 9
    with made({"0_query": expected}, {"0_query": actual}) as comparison:
        found = detail(comparison, "0_query")
    assert found["layout"]["text"] == "transpose(0, 1)"
    assert found["measures"]["max_abs_index"] == [2, 5]
    assert found["measures"]["located"] == {
        "expected": {"rank": 0, "index": [2, 5]},
        "actual": {"rank": 0, "index": [5, 2]},
    }


def test_the_largest_difference_is_told_in_the_tensor_of_its_rank():
    expected = numbers(8, 6)
    ranks = [part.clone() for part in expected.split(4)]
    ranks[1][3, 2] += 9
    with made({"0_query": expected}, [{"0_query": part} for part in ranks]) as comparison:
        found = detail(comparison, "0_query")
    assert found["measures"]["max_abs_index"] == [7, 2]
    assert found["measures"]["located"]["actual"] == {"rank": 1, "index": [3, 2]}
    assert [side["rank"] for side in found["actual"]] == [0, 1]
    assert [side["shape"] for side in found["actual"]] == [[4, 6], [4, 6]]


def test_the_first_nan_is_told():
    expected = numbers(4, 6)
    actual = expected.clone()
    actual[1, 2] = math.nan
    with made({"0_query": expected}, {"0_query": actual}) as comparison:
        found = detail(comparison, "0_query")
    assert found["measures"]["actual"]["first_nan"] == [1, 2]
    assert found["measures"]["actual"]["first_nan_located"]["expected"] == {"rank": 0, "index": [1, 2]}
    assert found["measures"]["expected"]["first_nan"] is None
    assert found["measures"]["max_abs"] == "inf"
    json.dumps(found, allow_nan=False)


def test_distances_beyond_what_a_browser_counts_are_texts():
    expected = torch.zeros(4, dtype=torch.float64)
    actual = torch.full((4,), 1e300, dtype=torch.float64)
    with made({"0_query": expected}, {"0_query": actual}) as comparison:
        found = detail(comparison, "0_query")
    assert isinstance(found["measures"]["max_ulp"], str)
    assert int(found["measures"]["max_ulp"]) > 2**53


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,)], ids=str)
def test_tensors_without_dims_or_numbers_are_told(shape):
    value = torch.ones(shape)
    with made(
        {"0_query": value, "1_query": torch.ones(3)}, {"0_query": value * 2, "1_query": torch.ones(3)}
    ) as found:
        told = detail(found, "0_query")
    assert told["shape"] == list(shape)
    assert told["expected"]["elements"] == value.numel()
    if value.numel():
        assert told["measures"]["max_abs_index"] == [0] * len(shape)
        assert told["measures"]["located"]["actual"]["index"] == [0] * len(shape)
    json.dumps(told, allow_nan=False)


def test_a_pair_that_cannot_be_laid_out_says_why():
    with made(
        {"0_query": numbers(4, 6)}, {"0_query": numbers(4, 5)}, name_map={"0_query": "0_query"}
    ) as comparison:
        found = detail(comparison, "0_query")
    assert found["layout"] is None
    assert found["measures"] is None
    assert found["reason"]
    assert found["matched_by"] == "map"


def test_tolerances_that_were_given_are_told():
    rules = Rules(rtol=0.25, atol=0.5)
    with made(*made_pair(), rules=rules) as comparison:
        assert detail(comparison, "0_query")["tolerance"] == {"rtol": 0.25, "atol": 0.5}
    with made(*made_pair(), is_exact=True) as comparison:
        assert detail(comparison, "0_query")["tolerance"] == {"rtol": 0.0, "atol": 0.0}


def made_pair():
    return {"0_query": numbers(4, 6)}, {"0_query": numbers(4, 6)}


def test_what_one_side_has_names_what_looks_like_it():
    with made(
        {"0_query": numbers(4), "0_valeu": numbers(6)}, {"0_query": numbers(4), "0_value_x": numbers(8)}
    ) as found:
        lone = detail(found, "0_value_x", "actual")
    assert lone["status"] == "only actual"
    assert lone["expected"] is None
    assert lone["near"] == ["0_valeu"]
    assert lone["layer"] == 0
    assert lone["shape"] == [8]


def test_what_was_refused_says_why(tmp_path):
    for side in ("expected", "actual"):
        (tmp_path / side).mkdir()
        torch.save(numbers(8), tmp_path / side / "0_query.pth")
    (tmp_path / "actual" / "1_query.pth").write_bytes(b"cut short")
    with made(tmp_path / "expected", tmp_path / "actual") as comparison:
        found = detail(comparison, "1_query.pth", "actual")
    assert found["status"] == "refused"
    assert found["expected"] is None
    assert found["actual"] == []
    assert found["entry"] == "1_query.pth"
    assert found["reason"]


def test_the_diagnosis_of_a_row_stands_with_it():
    value = {f"{layer}_query": numbers(64, 64, seed=layer) for layer in range(4)}
    actual = {name: tensor.clone() for name, tensor in value.items()}
    actual["3_query"] *= 0.125
    with made(value, actual) as comparison:
        assert [found["kind"] for found in detail(comparison, "3_query")["diagnoses"]] == ["constant_factor"]
        assert detail(comparison, "2_query")["diagnoses"] == []


def test_a_part_of_a_fused_tensor_is_told():
    whole = numbers(96, 32)
    expected = {
        f"0_{name}": part for name, part in zip(("query", "key", "value"), whole.split(32), strict=True)
    }
    with made(expected, {"0_qkv": whole}) as comparison:
        found = detail(comparison, "0_key")
    assert found["fused"] == {
        "side": "actual",
        "parts": ["query", "key", "value"],
        "index": 1,
        "group": "0_qkv",
    }
    assert found["actual"][0]["name"] == "0_qkv[key]"
    assert found["actual"][0]["shape"] == [96, 32]
    assert found["shape"] == [32, 32]


def test_there_are_no_other_rows():
    with made() as comparison, pytest.raises(InputError, match="there is no row 10"):
        detail_of(comparison, 10)
