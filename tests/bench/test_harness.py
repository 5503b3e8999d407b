import argparse
import json
from pathlib import Path

import pytest

from bench import harness, machine


def options(tmp_path, *arguments):
    parser = argparse.ArgumentParser()
    harness.add_arguments(parser, rounds=1, model="toy")
    return parser.parse_args(["--results", str(tmp_path / "results"), *arguments])


RECORD = {
    "machine": {"cpu": "A (tm) CPU", "cores": 2, "memory_bytes": 8 << 30},
    "date": "2030-01-02T03:04:05+00:00",
}


def test_result_is_named_for_machine_date_and_case(tmp_path):
    path = harness.write_result(RECORD, tmp_path, "floor")
    assert path.name == "a-tm-cpu-2c-8g-2030-01-02-floor.json"
    assert json.loads(path.read_text()) == RECORD


def test_second_result_of_a_day_does_not_replace_the_first(tmp_path):
    first = harness.write_result(RECORD, tmp_path, "floor")
    second = harness.write_result({**RECORD, "x": 1}, tmp_path, "floor")
    assert second.name.endswith("-floor-2.json")
    assert json.loads(first.read_text()) == RECORD


def test_nothing_is_left_of_a_result_that_cannot_be_written(tmp_path):
    with pytest.raises(TypeError):
        harness.write_result({**RECORD, "x": object()}, tmp_path, "floor")
    assert not list(tmp_path.iterdir())


def test_paths_of_this_machine_are_cut_out():
    root, home = str(Path(harness.__file__).parent.parent), str(Path.home())
    found = machine.without_paths({"a": [f"{root}/bench/x.py", f"in {home}/.cache"], "b": 3})
    assert found == {"a": ["./bench/x.py", "in ~/.cache"], "b": 3}


def test_rotation_gives_each_a_first_place():
    assert [harness.rotated("abc", n)[0] for n in range(4)] == ["a", "b", "c", "a"]
    assert harness.rotated([], 3) == []


def test_measures_in_a_process_of_its_own(tmp_path, bench_directory):
    bench = harness.Bench("floor", options(tmp_path, "--unlimited"))
    sample = bench.measure(
        "mmap", round_number=0, limit_bytes=2 << 30, prompt_tokens=8, prefills=2, decode_tokens=2
    )
    assert "error" not in sample
    assert sample["limited"]["returncode"] == 0
    assert len(sample["prefills"]) == 2
    assert len(sample["decode_step_seconds"]) == 2
    assert len(sample["logits_sha256"]) == 3
    assert sample["spec"]["model"] == "toy"


def test_killed_process_is_a_sample_with_its_reason(tmp_path, bench_directory):
    bench = harness.Bench("floor", options(tmp_path, "--unlimited", "--timeout", "0.3"))
    sample = bench.measure("mmap", round_number=0, limit_bytes=None)
    assert sample["error"]["type"] == "Ended"
    assert "timed out" in sample["error"]["text"]
    assert bench.samples == [sample]
