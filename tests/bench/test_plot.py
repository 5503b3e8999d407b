import json

import pytest

from bench.figures import spread
from bench.plot import draw, main

RECORD = {
    "date": "2030-01-02T03:04:05+00:00",
    "cache": "cold",
    "rounds": 2,
    "commit": "0123456789abcdef",
    "versions": {"torch": "2.13", "transformers": "5.23"},
    "machine": {"cpu": "Some CPU", "cores": 2, "memory_bytes": 8 << 30, "system": "Linux", "kernel": "6"},
    "model": {"name": "tinyllama", "weights_bytes": 2_200_000_000},
}


def budget(fraction, seconds):
    return {
        "label": f"outgrow {fraction:.0%}",
        "fraction": fraction,
        "token_seconds": spread([seconds, seconds * 1.1]),
        "floor_seconds": spread([seconds * 0.9]),
        "floor_ratio": spread([1.07]),
    }


def test_curve_shows_budgets_machine_and_date(tmp_path):
    rows = [{"label": "resident", "token_seconds": spread([0.1])}, budget(0.1, 2.0), {"label": "outgrow 50%"}]
    path = tmp_path / "floor.json"
    path.write_text(json.dumps({**RECORD, "case": "floor", "summary": rows}))
    assert draw(path) == tmp_path / "floor.svg"
    assert (tmp_path / "floor.svg").read_text().startswith("<?xml")


def test_peers_draw_a_bar_for_each_system_and_budget(tmp_path):
    def row(peer, seconds):
        return {
            "fraction": 0.45,
            "peer": peer,
            "times_faster": spread([seconds / 0.5]),
            "outgrow": {"token_seconds": spread([0.5])},
            "peer_figures": {"token_seconds": spread([seconds] if seconds else [])},
        }

    path = tmp_path / "peers.json"
    path.write_text(json.dumps({**RECORD, "case": "peers", "summary": [row("mmap", 2.0), row("airllm", 0)]}))
    assert draw(path).exists()


def test_axis_matching_draws_how_long_searches_take(tmp_path):
    samples = [
        {"seconds": seconds, "fault": fault} for seconds in (0.001, 0.02) for fault in (None, "scaled")
    ]
    figures = {"right": 2, "refused": 0, "wrong": 0, "seconds": {"p50": 0.01, "p95": 0.02, "max": 0.02}}
    rows = [{"group": group, **figures} for group in ("without fault", "with fault")]
    path = tmp_path / "axis.json"
    path.write_text(json.dumps({**RECORD, "case": "axis_matching", "summary": rows, "samples": samples}))
    assert draw(path).exists()


def test_same_file_gives_the_same_picture(tmp_path):
    path = tmp_path / "floor.json"
    path.write_text(json.dumps({**RECORD, "case": "floor", "summary": [budget(0.1, 2.0)]}))
    first = draw(path).read_bytes()
    assert draw(path).read_bytes() == first


@pytest.mark.parametrize("case", ["open", "floor"], ids=["no-picture", "nothing-measured"])
def test_says_what_cannot_be_drawn(case, tmp_path, capsys):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**RECORD, "case": case, "summary": []}))
    assert main([str(path)]) == 2
    assert "error:" in capsys.readouterr().err
