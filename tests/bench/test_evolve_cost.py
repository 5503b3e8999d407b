import argparse
import json

from bench.cases import evolve_cost


def test_a_toy_run_has_every_part(tmp_path):
    parser = argparse.ArgumentParser()
    evolve_cost.add_arguments(parser)
    path = evolve_cost.run(parser.parse_args(["--toy", "--results", str(tmp_path)]))
    result = json.loads(path.read_text())
    assert len(result["summary"]["growing_run"]["grown"]) == 2
    assert result["summary"]["surgery"].keys() == {"mlp", "heads", "residual"}
    parts = {"training", "measures", "snapshot", "surgery", "commit"}
    assert result["summary"]["growing_run"]["cpu_seconds"].keys() == parts
    assert result["summary"]["growing_run"]["share"] > 0
