"""`outgrow demo whole`: every promise is looked at, and a broken one is said."""

import dataclasses
import json
import os
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch

from outgrow.cli import demo_whole, one_model_in_four_rooms
from outgrow.cli.main import main
from outgrow.cli.one_model_in_four_rooms import CLOSE, SAME, Row, check, keep
from outgrow.cli.rooms_picture import draw_rooms, found_text, promise_text

PROMPT = " ".join(f"word{number}" for number in range(20))
ROW = Row(
    room="a < b",
    how="in a tenth of it",
    like="resident",
    promise=SAME,
    pairs=2,
    equal=2,
    largest_error=0.0,
    share_of_rounding=None,
    is_kept=True,
    first_divergence=None,
    memory_bytes=5_000_000,
    seconds=1.5,
    recorded_seconds=2.5,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("transformers")
    from tests.cli.tiny_chat import make_small, make_tokenizer

    folder = make_small(tmp_path_factory.mktemp("small") / "model")
    make_tokenizer(folder)
    return folder


@pytest.fixture
def _small(model, tmp_path, monkeypatch):
    monkeypatch.setenv("OUTGROW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(demo_whole, "prepare_model", lambda *, may_fetch: model)


def quick_visit(*rows):
    """What `visit` does, without the rooms."""

    def visit(source, folder, tokens, tell):
        tell("recording")
        net = torch.nn.Sequential(torch.nn.Linear(4, 4))
        for name in ("resident", "faulty"):
            with one_model_in_four_rooms.record(net, folder / name):
                net(torch.ones(2, 4))
        yield from rows

    return visit


@pytest.mark.usefixtures("_small")
def test_the_whole_demo_says_what_changed_in_every_room(tmp_path, capsys):
    picture, kept = tmp_path / "rooms.svg", tmp_path / "kept"
    options = ["--json", "--prompt", PROMPT, "--svg", str(picture), "--keep", str(kept)]
    assert main(["demo", "whole", *options]) == 0
    found = json.loads(capsys.readouterr().out)["whole"]
    rows = {(row["room"], row["like"]): row for row in found["rooms"]}
    whole = rows["resident, again", "resident"]["memory_bytes"]
    assert all(row["memory_bytes"] > whole / 20 for row in rows.values())
    assert rows["sharded, planned", "resident"]["memory_bytes"] < whole
    assert {key: row["promise"] for key, row in rows.items()} == {
        ("resident, again", "resident"): SAME,
        ("streamed", "resident"): SAME,
        ("sharded", "resident"): CLOSE,
        ("sharded, planned", "resident"): "within 1e-05",
        ("grown", "resident"): CLOSE,
        ("grown, streamed", "grown"): SAME,
        ("grown, streamed", "resident"): CLOSE,
    }
    assert all(row["is_kept"] and row["first_divergence"] is None for row in rows.values())
    whole = rows["resident, again", "resident"]["memory_bytes"]
    for key in [("streamed", "resident"), ("grown, streamed", "grown")]:
        assert 0 < rows[key]["memory_bytes"] <= whole // 10
    kinds = ("planned:", "replicated:", "data parallel:", "one worker alone:")
    assert rows["sharded, planned", "resident"]["how"].startswith(kinds)
    grown = rows["grown", "resident"]
    assert 0 < grown["equal"] < grown["pairs"]
    assert 0 < grown["share_of_rounding"] < 1
    assert found["planted"]["first_divergence"]["expected"] == "model.layers.6.self_attn.o_proj.output"
    ET.parse(picture)
    assert found["recordings"] == str(kept)
    assert sorted(path.name for path in kept.iterdir()) == [
        "faulty", "grown", "grown, streamed", "resident", "resident, again", "sharded", "streamed",
    ]  # fmt: skip
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.usefixtures("_small")
def test_a_promise_that_is_not_kept_is_said(capsys, monkeypatch):
    broken = dataclasses.replace(ROW, is_kept=False, equal=1, first_divergence="its.layer")
    monkeypatch.setattr(one_model_in_four_rooms, "visit", quick_visit(ROW, broken))
    assert main(["demo", "whole", "--prompt", "word1"]) == 1
    said = capsys.readouterr().out
    assert len(re.findall("NOT KEPT: 1 of 2 equal", said)) == 1
    assert "its.layer" in said
    assert "NOT RIGHT: 1 of 2 promises were not kept." in said
    assert "NOT RIGHT: this is not where the fault was planted." in said


@pytest.mark.usefixtures("_small")
def test_a_fault_that_is_not_found_is_wrong_though_every_promise_is_kept(capsys, monkeypatch):
    monkeypatch.setattr(one_model_in_four_rooms, "visit", quick_visit(ROW))
    assert main(["demo", "whole", "--prompt", "word1", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["whole"]
    assert (found["is_right"], found["planted"]["is_found"]) == (False, False)


def test_a_number_that_changed_breaks_its_promise(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8))
    one, other = {"a": net[0].weight.detach(), "b": net[2].weight.detach()}, {}
    other = {"a": one["a"].clone(), "b": one["b"].clone()}
    facts = {"how": "", "memory_bytes": 0, "seconds": 0.0}
    assert check(tmp_path, "x", SAME, runs=(one, other, None), **facts).is_kept
    other["b"][0, 0] = torch.nextafter(other["b"][0, 0], torch.tensor(9.0))
    row = check(tmp_path, "x", SAME, runs=(one, other, None), **facts)
    assert (row.is_kept, row.first_divergence, row.equal, row.pairs) == (False, "b", 1, 2)
    row = check(tmp_path, "x", CLOSE, runs=(one, other, None), **facts)
    assert row.is_kept
    assert row.share_of_rounding < 1
    other["b"][0, 0] += 1
    row = check(tmp_path, "x", CLOSE, runs=(one, other, None), **facts)
    assert not row.is_kept
    assert row.share_of_rounding > 1
    assert row.largest_error > 1e-2


@pytest.mark.usefixtures("_small")
def test_an_interrupt_leaves_no_folder_and_no_workers(tmp_path, monkeypatch):
    def interrupted(model, tokens, target):
        if target.name == "sharded":
            raise KeyboardInterrupt
        return keep(model, tokens, target)

    monkeypatch.setattr(one_model_in_four_rooms, "keep", interrupted)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = set(children.read_text().split())
    assert main(["demo", "whole", "--prompt", PROMPT]) == 130
    assert not list((tmp_path / "temporary").iterdir())
    assert set(children.read_text().split()) <= before


@pytest.mark.usefixtures("_small")
def test_what_cannot_be_written_is_said_before_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(one_model_in_four_rooms, "visit", None)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine").write_text("")
    assert main(["demo", "whole", "--keep", str(taken)]) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert main(["demo", "whole", "--keep", str(taken / "mine" / "below")]) == 2
    assert "cannot make the directory" in capsys.readouterr().err
    assert main(["demo", "whole", "--svg", str(tmp_path / "nowhere" / "a.svg")]) == 2
    assert "cannot write" in capsys.readouterr().err
    (tmp_path / "cache" / "demo-whole.html").mkdir(parents=True)
    assert main(["demo", "whole"]) == 2
    assert "cannot write" in capsys.readouterr().err
    (tmp_path / "cache" / "demo-whole.html").rmdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    assert main(["demo", "whole"]) == 2
    assert "TMPDIR" in capsys.readouterr().err
    assert not list((tmp_path / "temporary").iterdir())


def test_words_for_what_was_found():
    assert promise_text(ROW) == "bit-identical"
    assert promise_text(dataclasses.replace(ROW, like="grown")) == "bit-identical to grown"
    assert found_text(ROW) == "2 of 2 equal"
    near = dataclasses.replace(ROW, equal=1, largest_error=1.9e-6, share_of_rounding=0.4321)
    assert found_text(near) == "1 of 2 equal, farthest 1.9e-06, 0.43 of rounding"


def test_the_picture_says_what_was_not_kept():
    text = draw_rooms([ROW, dataclasses.replace(ROW, is_kept=False)])
    assert "a &lt; b" in text
    assert text.count("✓ bit-identical") == text.count("✗ not bit-identical") == 1
    assert "1 of 2 promises kept" in text
    ET.fromstring(text)


@pytest.mark.usefixtures("_small")
def test_a_refusal_for_want_of_space_leaves_nothing_and_names_the_option(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(one_model_in_four_rooms, "visit", None)
    monkeypatch.setattr(demo_whole, "_RECORDINGS_BYTES", 10**18)
    assert main(["demo", "whole", "--keep", str(tmp_path / "kept" / "here")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"no space in '{tmp_path}'" in said
    assert "another folder for --keep" in said
    assert not (tmp_path / "kept").exists()
    assert main(["demo", "whole"]) == 2
    assert "another directory in TMPDIR" in " ".join(capsys.readouterr().err.split())
