"""The cases about growing run at toy size and say what they counted."""

import json

from bench.__main__ import main


def result_of(case, tmp_path):
    assert main([case, "--toy", "--results", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.json")
    return json.loads(path.read_text())


def test_random_sequences_count_what_is_wrong(tmp_path):
    found = result_of("evolve_exactness", tmp_path)
    assert found["summary"]["known"]["sequences"] == 2
    assert found["summary"]["known"]["wrong"] == 0
    assert found["summary"]["known"]["not_back"] == 0


def test_a_change_that_moves_outputs_is_counted_as_wrong(monkeypatch, tmp_path):
    from bench.evolve_exactness import sequence

    monkeypatch.setattr(sequence, "_moved", lambda before, after: 1.0)
    found = result_of("evolve_exactness", tmp_path)
    assert found["summary"]["known"]["wrong"] > 0
