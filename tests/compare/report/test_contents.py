"""The JSON of a comparison is what its page promises, also where numbers are not finite."""

import json

import torch

from outgrow.compare import compare
from outgrow.compare.report import as_dict, as_json
from tests.compare.report.conftest import HOSTILE

KEYS = {
    "version", "verdict", "sentence", "expected", "actual", "first_divergence", "healed_at", "pairs",
    "unpaired_expected", "unpaired_actual", "near", "notes", "findings", "diagnoses", "refused",
}  # fmt: skip
ROW_KEYS = {
    "expected", "actual", "stage", "layer", "matched_by", "note", "layout", "layout_reason", "shape",
    "max_abs", "max_abs_index", "relative_error", "max_ulp", "cosine", "mse", "mismatched", "nan_expected",
    "nan_actual", "inf_expected", "inf_actual", "status", "reason",
}  # fmt: skip


def no_constants(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_keys_and_values(broken):
    found = no_constants(as_json(broken))
    assert found == as_dict(broken)
    assert set(found) == KEYS
    assert all(set(row) == ROW_KEYS for row in found["findings"])
    assert found["verdict"] == "differ"
    assert found["first_divergence"]["expected"] == found["first_divergence"]["actual"] == "2_value"
    assert 0.1 < found["first_divergence"]["relative_error"] < 1
    assert found["pairs"] == len(found["findings"]) == 15
    assert found["unpaired_expected"] == [HOSTILE]
    assert found["unpaired_actual"] == ["another one"]
    statuses = [row["status"] for row in found["findings"]]
    first = statuses.index("differs")
    assert set(statuses[:first]) == {"ok"}
    assert found["findings"][first]["expected"] == "2_value"


def test_numbers_that_are_not_finite_are_null_beside_their_counts(broken):
    rows = {row["expected"]: row for row in as_dict(broken)["findings"]}
    assert rows["3_query"]["relative_error"] is None
    assert rows["3_query"]["max_abs"] is None
    assert (rows["3_query"]["nan_expected"], rows["3_query"]["nan_actual"]) == (0, 1)
    assert rows["3_query"]["max_abs_index"] == [1, 2]


def test_what_cannot_be_laid_out_has_no_figures(dumps):
    expected = {"0_query": torch.ones(4), "0_value": torch.randn(5, 7)}
    with compare(**dumps(expected, {**expected, "0_value": torch.randn(11)})) as comparison:
        row = next(row for row in as_dict(comparison)["findings"] if row["expected"] == "0_value")
    assert row["layout"] is None
    assert row["layout_reason"]
    assert row["status"] == "differs"
    assert {row[key] for key in ("max_abs", "relative_error", "max_ulp", "cosine")} == {None}


def test_equal_runs_match(dumps):
    tensors = {"0_query": torch.randn(4, 4), "0_empty": torch.ones(0), "0_scalar": torch.tensor(3)}
    with compare(**dumps(tensors, tensors)) as comparison:
        found = as_dict(comparison)
    assert found["verdict"] == "match"
    assert found["first_divergence"] is None
    assert found["pairs"] == 3
    assert found["sentence"] == "They match: 3 pairs, all numbers equal."
