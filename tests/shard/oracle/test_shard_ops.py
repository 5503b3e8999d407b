"""The examiner itself, and a sample of what `make oracle` examines in full."""

import json
from pathlib import Path

import pytest
import torch

from bench.__main__ import main
from bench.oracle.entries import entries
from bench.oracle.examine import examine
from bench.oracle.options import EVERY, Entry, Options
from bench.oracle.pool import run_all
from bench.oracle.table import page, summarise
from bench.oracle.tolerance import tolerance
from bench.oracle.variants import variants
from bench.oracle.verdict import difference, judge_exception
from bench.oracle.words import BAD
from outgrow.errors import InputError, RemoteError
from outgrow.placement import Replicate, Shard
from outgrow.shard import rules
from outgrow.shard.rules import Row

SAMPLE = [
    "op:matmul",
    "op:softmax",
    "op:hstack",
    "op:sum",
    "op:take_along_dim",
    "op:nn.functional.layer_norm",
    "op:nn.functional.cross_entropy",
    "op:nn.functional.mse_loss",
    "op:nn.functional.conv2d",
    "op:where",
    "op:cumsum",
    "op:transpose",
    "op:nn.functional.embedding",
    "op:var",
    "op:max.reduction_with_dim",
    "op:normal",
    "op:empty_like",
    "module:nn.Linear",
    "module:nn.BatchNorm1d",
    "module:nn.MSELoss",
    "module:nn.GroupNorm",
    "optimizer:SGD",
]
QUICK = Options(samples=1, variants=3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAMPLE)
def test_workers_give_what_torch_alone_gives(name):
    database, _, entry = name.partition(":")
    record = examine(Entry(database, entry, 2), QUICK)
    bad = [one for one in record["kept"] if one["word"] in BAD]
    assert not bad, bad[:2]
    assert record["forward"] == "equal"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("world_size", [1, 3, 8])
def test_other_world_sizes_give_what_torch_alone_gives(world_size):
    for name in ("mul", "nn.functional.linear"):
        record = examine(Entry("op", name, world_size), QUICK)
        assert record["forward"] == record["backward"] == "equal", record["kept"][:2]


@pytest.mark.filterwarnings("ignore")
def test_a_wrong_rule_is_found(monkeypatch):
    def wrong(template, world_size):
        """Says that sums over pieces are whole sums."""
        return (Row((Shard(0),), (Replicate(),)),) if len(template.inputs[0].shape) else ()

    monkeypatch.setitem(rules.RULES, "aten.sum.default", wrong)
    record = examine(Entry("op", "sum", 2), Options(samples=3, variants=6))
    assert record["forward"] == "silent"
    assert any("off by" in one["said"] or "differ" in one["said"] for one in record["kept"])


def test_every_entry_is_examined_at_one_world_size_and_a_fifth_at_others():
    everything = list(entries())
    at_two = [entry for entry in everything if entry.world_size == EVERY]
    assert len(at_two) == len(set(at_two)) > 800
    assert {entry.database for entry in at_two} == {"op", "module", "optimizer"}
    for world_size in (1, 3, 8):
        some = [entry for entry in everything if entry.world_size == world_size]
        assert 0.15 < len(some) / len(at_two) < 0.25


def test_differences_are_named():
    one = torch.tensor([1.0, float("nan"), float("inf"), 0.0])

    def said(actual, expected):
        return difference([("out", actual)], [("out", expected)], elements=1)

    assert said(one, one.clone()) is None
    assert "NaN" in said(torch.tensor([1.0, 1.0, float("inf"), 0.0]), one)
    assert "infinities" in said(torch.tensor([1.0, float("nan"), 5.0, 0.0]), one)
    assert "dtype" in said(one.double(), one)
    assert "shape" in said(one[:3], one)
    assert "off by" in said(one + 1e-3, one)
    assert said(torch.tensor([1, 2]), torch.tensor([1, 3])) == "out: 1 of 2 differ"
    assert said(torch.tensor([1 + 2j]), torch.tensor([1 - 2j])) is not None
    assert (
        said(torch.ones(2, dtype=torch.float64) * (1 + 1e-9), torch.ones(2, dtype=torch.float64)) is not None
    )
    assert said(3, 4) == "out: 3, expected 4"
    assert "results" in difference([], [("out", one)], elements=1)


def test_tolerance_comes_from_dtype_and_length():
    assert tolerance(torch.int64, 100) == tolerance(torch.bool, 100) == 0.0
    assert tolerance(torch.float64, 1) < 1e-13
    assert tolerance(torch.float32, 100) == pytest.approx(10 * tolerance(torch.float32, 1))


def test_exceptions_are_told_apart():
    assert judge_exception(IndexError("far"), IndexError("far")) == ("equal", "")
    assert judge_exception(RuntimeError("far"), IndexError("far"))[0] == "error"
    assert judge_exception(RemoteError("IndexError: far\nTraceback"), IndexError("far")) == ("equal", "")
    assert judge_exception(RemoteError("KeyError: far\nTraceback"), IndexError("far"))[0] == "error"
    assert judge_exception(InputError("no aten.foo here"), None)[0] == "refused"
    assert judge_exception(NotImplementedError("aten::foo"), None)[0] == "refused"
    assert judge_exception(RemoteError("boom"), None)[0] == "error"
    assert judge_exception(KeyError("boom"), None)[0] == "error"


def test_variants_are_the_same_in_every_process():
    shapes = [(4, 6), (), (3,)]
    first = variants("key", shapes, 2, 8)
    assert first == variants("key", shapes, 2, 8) != variants("other", shapes, 2, 8)
    assert any(one.seed is None and Shard(1) in one.placements for one in variants("key", shapes, 2, 20))
    assert [one.name for one in variants("key", shapes, 1, 8)] == ["replicate", "replicate+rows0"]


@pytest.mark.filterwarnings("ignore")
def test_a_process_that_dies_is_a_result_and_the_next_goes_on(monkeypatch):
    def deadly(entry, options, say, without):
        say("first")
        if "first" not in without:
            import os

            os._exit(3)
        return {**_RECORD, "name": entry.name}

    monkeypatch.setattr("bench.oracle.pool.examine", deadly)
    found = list(run_all([Entry("op", "add", 2), Entry("op", "sub", 2)], Options(), 1))
    assert [one["name"] for one in found] == ["add", "sub"]
    assert found[0]["forward"] == "crash"
    assert found[0]["kept"][-1] == {
        "case": "first",
        "phase": "forward",
        "word": "crash",
        "said": "the process ended: 3",
    }


_RECORD = {
    "database": "op",
    "name": "add",
    "world_size": 2,
    "seed": 0,
    "seconds": 1.0,
    "forward": "equal",
    "backward": "equal",
    "cases": {"forward equal": 3},
    "kept": [],
    "rows": {"aten.add.Tensor": ["S(0)->S(0)"]},
}


def test_the_page_is_written_from_the_result_alone():
    refused = {
        **_RECORD,
        "name": "to_sparse",
        "forward": "refused",
        "kept": [{"case": "c", "phase": "forward", "word": "refused", "said": "InputError: no | `sparse`"}],
    }
    records = [json.loads(json.dumps(one)) for one in (_RECORD, refused)]
    result = {"samples": records, "summary": summarise(records), "versions": {"torch": "2.13"}}
    written = page(result)
    assert "| op | 2 | 2 | 50.0% | 50.0% | 6 |" in written
    assert r"| op `to_sparse` | 2 | refused, forward | `InputError: no \| sparse` |" in written
    assert written.rstrip().endswith("None.")


@pytest.mark.filterwarnings("ignore")
def test_a_toy_run_writes_a_result_and_resumes(tmp_path: Path, capsys):
    log = tmp_path / "log.jsonl"
    arguments = ["shard_ops", "--toy", "--samples", "1", "--variants", "1", "--world", "2", "--log", str(log)]
    arguments += ["--results", str(tmp_path), "--page", str(tmp_path / "page.md")]
    assert main(arguments) == 0
    written = json.loads(Path(capsys.readouterr().out.strip()).read_text())
    assert [one["name"] for one in written["samples"]] == ["add", "softmax", "nn.Linear"]
    assert (tmp_path / "page.md").read_text().startswith("# Which ops workers run")
    lines = log.read_text().splitlines()
    assert main(arguments) == 0
    assert log.read_text().splitlines() == lines
