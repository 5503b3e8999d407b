import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.__main__ import main
from bench.cases import CASES
from bench.compare_web.page import chromium
from bench.plot import draw
from bench.systems import SYSTEMS


def run_toy(case, tmp_path, *arguments):
    command = [case, "--toy", "--results", str(tmp_path / "results"), *arguments]
    if case == "compare_web":
        # In a thread: the browser of other tests may hold this one's event loop.
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(main, command).result() == 0
    else:
        assert main(command) == 0
    (path,) = (tmp_path / "results").glob("*.json")
    return json.loads(path.read_text())


def needs_browser():
    pytest.importorskip("playwright")
    if chromium() is None:
        pytest.skip("needs chromium or chrome")


@pytest.mark.parametrize("case", CASES)
def test_case_runs_at_toy_size_and_keeps_every_sample(case, tmp_path, stub):
    arguments = ["--peers", "mmap"] if case == "peers" else []
    if case == "evolve_curves":  # its peers are packages that nothing else here needs
        for peer in ("torch_pruning", "gromo"):
            pytest.importorskip(peer)
    if case == "compare_web":
        needs_browser()
        arguments = ["--parts", "start", "slices"]  # each of the others starts more programs
    record = run_toy(case, tmp_path, *arguments)
    assert record["case"] == case
    assert record["toy"]
    assert record["summary"]
    assert record["samples"]
    assert not [sample["error"] for sample in record["samples"] if "error" in sample]
    assert record["machine"]["memory_bytes"] > 0
    assert record["versions"]["torch"]
    assert str(tmp_path) not in json.dumps({**record, "command": []})


def test_floor_takes_ratios_within_a_round(tmp_path, stub):
    record = run_toy("floor", tmp_path, "--fractions", "0.5")
    resident, row = record["summary"]
    sample = next(s for s in record["samples"] if s["system"] == "outgrow")
    steps = sample["decode_step_seconds"]
    seconds = sum(steps) / len(steps)
    compute = resident["token_seconds"]["median"]
    read = sample["decode"]["disk_bytes"] / len(steps) / sample["disk_bytes_per_second"]
    assert row["floor_ratio"]["median"] == pytest.approx(seconds / max(compute, read))
    assert row["resident_ratio"]["median"] == pytest.approx(seconds / compute)
    assert row["equal_logits"] == [4, 4]
    assert row["failures"] == []


def test_outgrow_itself_has_the_bits_of_the_resident_model(tmp_path, bench_directory):
    record = run_toy("floor", tmp_path, "--fractions", "0.5")
    row = record["summary"][1]
    assert row["failures"] == []
    assert row["equal_logits"] == [4, 4]
    sample = next(s for s in record["samples"] if s["system"] == "outgrow")
    assert sample["statistics"]["bytes_read"] > 0


def test_peers_have_the_bits_of_the_resident_model(tmp_path, stub):
    peers = ("mmap", "transformers", "accelerate")
    record = run_toy("peers", tmp_path, "--fractions", "0.45", "--peers", *peers)
    assert [row["peer"] for row in record["summary"]] == list(peers)
    for row in record["summary"]:
        assert row["failures"] == []
        assert row["peer_figures"]["equal_logits"] == [4, 4]
        assert row["outgrow"]["equal_logits"] == [4, 4]
        mine, theirs = row["outgrow"]["token_seconds"], row["peer_figures"]["token_seconds"]
        assert row["times_faster"]["median"] == pytest.approx(theirs["median"] / mine["median"])


def test_wrong_bits_are_counted(tmp_path, stub, monkeypatch):
    class Wrong(stub):
        def open(self, spec):
            model = super().open(spec)
            weight = model.lm_head.weight.data.clone()
            weight[7] = 1
            model.lm_head.weight.data = weight
            return model

    monkeypatch.setitem(SYSTEMS, "outgrow", Wrong)
    record = run_toy("floor", tmp_path, "--fractions", "0.5")
    assert record["summary"][1]["equal_logits"][0] == 0


def test_failing_system_is_a_result_and_not_the_end(tmp_path, stub, monkeypatch):
    class Broken(stub):
        def open(self, spec):
            raise RuntimeError("no such thing")

    monkeypatch.setitem(SYSTEMS, "outgrow", Broken)
    record = run_toy("peers", tmp_path, "--fractions", "0.45", "--peers", "mmap")
    (row,) = record["summary"]
    assert row["times_faster"]["median"] is None
    assert row["peer_figures"]["token_seconds"]["median"] > 0
    assert row["failures"] == ["outgrow 45% beside mmap: RuntimeError in open: no such thing"]


def test_five_times_reports_passes_and_kills(tmp_path, stub):
    (row,) = run_toy("five_times", tmp_path)["summary"]
    assert row["passes"] == 4
    assert row["weights_over_limit"] >= 5
    assert row["limit_was_set"] is False


def test_plan_large_marks_what_was_not_run(tmp_path, stub):
    for row in run_toy("plan_large", tmp_path)["summary"]:
        assert row["status"] == "planned, not run"
        assert row["floor_seconds_per_token"] >= row["compute_seconds_scaled_by_bytes"]


@pytest.mark.slow
def test_compare_web_measures_all_that_it_must_reach(tmp_path, bench_directory):
    needs_browser()
    record = run_toy("compare_web", tmp_path)
    questions = {row["question"]: row for row in record["summary"]}
    assert len(questions) == len(record["summary"]) >= 12
    assert {sample["part"] for sample in record["samples"]} == {"start", "verdict", "slices", "drops", "rows"}
    for row in questions.values():
        assert row["measured"] > 0 or row["unit"] == "share"
        assert row["is_reached"] == (row["measured"] < row["limit"])
    assert draw(next((tmp_path / "results").glob("*.json"))).stat().st_size > 1000
