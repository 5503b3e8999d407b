"""The demo's fourth chapter, with a fraction of its FLOPs."""

import json
import xml.etree.ElementTree as ET

import pytest

from outgrow.cli import demo_evolve
from outgrow.cli.main import main


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OUTGROW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(demo_evolve, "_FLOPS", 1.5e9)
    return tmp_path / "cache"


def test_the_fourth_chapter_grows_and_proves_it(cache, capsys):
    main(["demo", "evolve", "--json"])
    chapter = json.loads(capsys.readouterr().out)["evolve"]
    assert chapter["is_replayed"]
    assert chapter["farthest_output"] <= 1e-5
    assert chapter["parameters"]["last"] >= chapter["parameters"]["first"] == 846
    assert {"grown", "as_it_was"} == set(chapter["accuracy"])
    ET.fromstring((cache / "demo-growth.svg").read_text())


def test_a_chapter_in_which_nothing_grew_is_not_right(cache, capsys, monkeypatch):
    monkeypatch.setattr(demo_evolve, "_FLOPS", 1e8)
    assert main(["demo", "evolve"]) == 1
    shown = capsys.readouterr().out
    assert "Grew      from 846 to 846 parameters in 0 changes" in shown
